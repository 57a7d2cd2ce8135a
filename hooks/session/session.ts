/**
 * A session with ONNX Runtime's interface around a compiled graph. Whoever runs it sees the inputs and outputs of
 * the untouched model; knobs are fed, states carried and taps taken off behind the curtain.
 */
import { AttuneError, nearest } from '../../errors.ts';
import { dataTypeName } from '../../onnx/index.ts';
import type { Compiled, KnobValue, Tap } from '../compile/index.ts';
import type { Feeds, Fetches, OrtSession, OrtTensor, Runtime, ValueMetadata } from './runtime.ts';
import { type Settings, StateStore } from './states.ts';

/** Receives the taps of one run, by hook name; float32, axes of POINT_AXES. */
export type TapListener = (taps: ReadonlyMap<string, OrtTensor>) => void | Promise<void>;

/** Knob values for one run, from what is fed to it; for interventions that depend on the request. */
export type KnobFeeder = (feeds: Feeds) => Readonly<Record<string, KnobValue>>;

/** How one pass differs from a plain run. */
export interface PassOptions {
  /** On top of the knobs in force. */
  readonly knobs?: Readonly<Record<string, KnobValue>>;
  /** In place of the feeder in force. */
  readonly feeder?: KnobFeeder | undefined;
  /** Reports wanted. */
  readonly reports?: readonly string[];
}

export interface PassResults {
  readonly outputs: Record<string, OrtTensor>;
  readonly reports: Readonly<Record<string, OrtTensor>>;
}

export class HookedSession implements OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly taps: readonly Tap[];
  /** What transformers.js keeps on a session: { dtype, device }. */
  config: unknown;
  readonly #inner: OrtSession;
  readonly #runtime: Runtime;
  readonly #host: Runtime;
  readonly #knobs = new Map<string, OrtTensor>();
  readonly #compiled: Compiled;
  readonly #listeners = new Set<TapListener>();
  readonly #store: StateStore;
  #feeder: KnobFeeder | undefined;
  #settings: Settings | undefined;
  #released = false;

  /**
   * @param host runtime whose Tensor class outputs must have; differs from `runtime` when wasm runs under Node
   * @param store states of caches; sessions of one model share it
   */
  constructor(
    inner: OrtSession,
    compiled: Compiled,
    runtime: Runtime,
    host: Runtime = runtime,
    store: StateStore = new StateStore(),
  ) {
    this.#store = store;
    this.#inner = inner;
    this.#compiled = compiled;
    this.#runtime = runtime;
    this.#host = host;
    this.taps = compiled.taps;
    const { knobs, taps, states, reports = [] } = compiled;
    const ins = new Set([...knobs.map(({ name }) => name), ...states.map(({ input }) => input)]);
    const outs = new Set([...[...taps, ...states].map(({ output }) => output), ...reports]);
    this.inputNames = inner.inputNames.filter((name) => !ins.has(name));
    this.outputNames = inner.outputNames.filter((name) => !outs.has(name));
    this.resetKnobs();
  }

  get inputMetadata(): readonly ValueMetadata[] {
    return (this.#inner.inputMetadata ?? []).filter(({ name }) => this.inputNames.includes(name));
  }

  get outputMetadata(): readonly ValueMetadata[] {
    return (this.#inner.outputMetadata ?? []).filter(({ name }) => this.outputNames.includes(name));
  }

  get knobNames(): readonly string[] {
    return this.#compiled.knobs.map(({ name }) => name);
  }

  /** Back to neutral: the model behaves as if untouched. */
  resetKnobs(): void {
    for (const knob of this.#compiled.knobs) this.setKnob(knob.name, knob.neutral);
    this.#feeder = undefined;
  }

  /**
   * Give a knob a value for all runs to come.
   * @throws AttuneError KNOB_UNKNOWN, KNOB_SHAPE
   */
  setKnob(name: string, value: KnobValue): void {
    this.#knobs.set(name, this.#knobTensor(name, value));
  }

  /** Compute knob values from each run's feeds, on top of what `setKnob` gave. Undefined removes it. */
  feedKnobs(feeder: KnobFeeder | undefined): void {
    this.#feeder = feeder;
  }

  /**
   * Name the settings under which states are collected: a cache is only continued under the same. Undefined, as at
   * first, when nothing relies on states: any cache of the untouched model will do, and none is remembered.
   */
  collectStates(settings: Settings | undefined): void {
    this.#settings = settings;
  }

  /** Whether anyone is handed the taps. */
  get listening(): boolean {
    return this.#listeners.size > 0;
  }

  /** Hand the taps of every run to `listener` until the returned function is called. */
  listen(listener: TapListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(feeds: Feeds, fetchesOrOptions?: object, options?: object): Promise<Record<string, OrtTensor>> {
    return (await this.pass(feeds, {}, fetchesOrOptions, options)).outputs;
  }

  /** A run with other knob values, or with reports. */
  async pass(
    feeds: Feeds,
    { knobs = {}, feeder = this.#feeder, reports = [] }: PassOptions,
    fetchesOrOptions?: object,
    options?: object,
  ): Promise<PassResults> {
    if (this.#released) {
      throw new AttuneError('SESSION_RELEASED', { hint: 'The model was disposed; load it again.' });
    }
    const own = fetchesOrOptions !== undefined && isFetches(fetchesOrOptions, this.outputNames);
    const fetches = own ? (fetchesOrOptions as Fetches) : undefined;
    const runOptions = own ? options : (fetchesOrOptions ?? options);
    const wantsTaps = this.#listeners.size > 0 && this.taps.length > 0;
    const carried = this.#store.before(feeds, this.#compiled, this.#settings, this.#runtime);
    const all = { ...this.#withKnobs(feeds, { ...feeder?.(feeds), ...knobs }), ...carried };
    const fetched = this.#fetchList(fetches, [
      ...(wantsTaps ? this.taps.map(({ output }) => output) : []),
      ...this.#store.wanted(this.#compiled, this.#settings, carried),
      ...reports,
    ]);
    const results = runOptions
      ? await this.#inner.run(all, fetched, runOptions)
      : await this.#inner.run(all, fetched);
    if (wantsTaps) await this.#deliver(results);
    const outputs: Record<string, OrtTensor> = {};
    for (const [name, tensor] of Object.entries(results)) {
      if (this.outputNames.includes(name)) outputs[name] = this.#toHost(tensor);
    }
    if (this.#settings !== undefined) {
      this.#store.after(outputs, results, this.#compiled, this.#settings, all);
    }
    const reported = reports.map((name) => [name, this.#toHost(results[name]!)] as const);
    return { outputs, reports: Object.fromEntries(reported) };
  }

  #withKnobs(feeds: Feeds, values: Readonly<Record<string, KnobValue>>): Feeds {
    const all: Record<string, OrtTensor> = {};
    for (const [name, tensor] of Object.entries(feeds)) all[name] = this.#toRuntime(tensor);
    for (const [name, tensor] of this.#knobs) all[name] = tensor;
    for (const [name, value] of Object.entries(values)) all[name] = this.#knobTensor(name, value);
    return all;
  }

  #fetchList(fetches: Fetches | undefined, extra: readonly string[]): Fetches {
    if (fetches === undefined) return [...this.outputNames, ...extra];
    if (Array.isArray(fetches)) return [...fetches, ...extra];
    return {
      ...(fetches as Record<string, OrtTensor | null>),
      ...Object.fromEntries(extra.map((name) => [name, null])),
    };
  }

  async #deliver(results: Record<string, OrtTensor>): Promise<void> {
    const taps = new Map(this.taps.map(({ point, output }) => [point.name, this.#toHost(results[output]!)]));
    for (const listener of this.#listeners) await listener(taps);
  }

  #knobTensor(name: string, { dims, data }: KnobValue): OrtTensor {
    const knob = this.#compiled.knobs.find((candidate) => candidate.name === name);
    if (!knob) {
      const names = this.knobNames;
      throw new AttuneError('KNOB_UNKNOWN', {
        found: `knob "${name}"`,
        expected: names.length > 0 ? `one of ${nearest(name, names).join(', ')}` : 'a graph with knobs',
        hint: 'The intervention was not compiled into this session.',
      });
    }
    const count = dims.reduce((product, dim) => product * dim, 1);
    const fits =
      knob.shape.length === dims.length &&
      knob.shape.every((dim, i) => typeof dim === 'string' || dim === dims[i]);
    if (!fits || count !== data.length) {
      throw new AttuneError('KNOB_SHAPE', {
        at: name,
        found: `[${dims.join(', ')}] with ${data.length} elements`,
        expected: `[${knob.shape.join(', ')}]`,
      });
    }
    return new this.#runtime.Tensor(ortType(knob.elemType), data, dims);
  }

  #toRuntime(tensor: OrtTensor): OrtTensor {
    return convert(tensor, this.#runtime);
  }

  #toHost(tensor: OrtTensor): OrtTensor {
    return this.#host === this.#runtime ? tensor : convert(tensor, this.#host);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#listeners.clear();
    await this.#inner.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** The same data as a tensor of another runtime's class; a view, not a copy. */
function convert(tensor: OrtTensor, runtime: Runtime): OrtTensor {
  const own: boolean = tensor instanceof runtime.Tensor;
  if (own) return tensor;
  if (tensor.location !== undefined && tensor.location !== 'cpu') return tensor;
  return new runtime.Tensor(tensor.type, tensor.data, tensor.dims);
}

/** InferenceSession.run takes fetches or options second; ORT tells them apart the same way. */
function isFetches(argument: object, outputNames: readonly string[]): boolean {
  if (Array.isArray(argument)) return true;
  return Object.keys(argument).some((key) => outputNames.includes(key));
}

const ORT_TYPES: Record<string, string> = { float: 'float32', double: 'float64' };

function ortType(elemType: number): string {
  const name = dataTypeName(elemType);
  return ORT_TYPES[name] ?? name;
}
