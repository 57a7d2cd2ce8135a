/**
 * A session with ONNX Runtime's interface around a compiled graph. Whoever runs it sees the inputs and outputs of
 * the untouched model; knobs are fed, states carried and taps taken off behind the curtain.
 */
import { AttuneError, isAttuneError, nearest } from '../../errors.ts';
import { dataTypeName } from '../../onnx/index.ts';
import type { Compiled, KnobValue, Tap } from '../compile/index.ts';
import { isPadded } from './padding.ts';
import {
  alone,
  type Feeds,
  type Fetches,
  type OrtSession,
  type OrtTensor,
  type Runtime,
  type ValueMetadata,
} from './runtime.ts';
import { type Settings, StateStore } from './states.ts';

/** Receives the taps of one run, by hook name; float32, axes of POINT_AXES. */
export type TapListener = (taps: ReadonlyMap<string, OrtTensor>) => void | Promise<void>;

/** Knob values for one run, from what is fed to it; for interventions that depend on the request. */
export type KnobFeeder = (feeds: Feeds) => Readonly<Record<string, KnobValue>>;

/**
 * What a run is under, beside its feeds. A session has settings of its own, which setKnob, feedKnobs, collectStates and listen
 * change; a run that brings others is not touched by them, so that runs of several owners may overlap on one session.
 */
export interface RunSettings {
  /** A value for each knob of the graph: see `knobTensors`. */
  readonly knobs: ReadonlyMap<string, OrtTensor>;
  /** Computes knob values from what is fed. */
  readonly feeder?: KnobFeeder | undefined;
  /** Under which settings states of caches are collected. */
  readonly states?: Settings | undefined;
  /** Who is handed the taps. */
  readonly listeners?: ReadonlySet<TapListener> | undefined;
}

/** How one pass differs from a plain run. */
export interface PassOptions {
  /** In place of the session's own settings. */
  readonly settings?: RunSettings | undefined;
  /** On top of the knobs in force. */
  readonly knobs?: Readonly<Record<string, KnobValue>>;
  /** In place of the feeder in force. */
  readonly feeder?: KnobFeeder | undefined;
  /** Reports wanted. */
  readonly reports?: readonly string[];
}

/** What a pass returns. */
export interface PassResults {
  /** Outputs of the untouched graph by name. */
  readonly outputs: Record<string, OrtTensor>;
  /** The reports that were asked for. */
  readonly reports: Readonly<Record<string, OrtTensor>>;
}

/**
 * A session around a compiled graph, with the inputs and outputs of the untouched one: knobs are fed, states carried,
 * taps taken off.
 */
export class HookedSession implements OrtSession {
  /** Inputs of the untouched graph. */
  readonly inputNames: readonly string[];
  /** Outputs of the untouched graph. */
  readonly outputNames: readonly string[];
  /** Hook points it hands out. */
  readonly taps: readonly Tap[];
  /** What transformers.js keeps on a session: { dtype, device }. */
  config: unknown;
  readonly #inner: OrtSession;
  readonly #runtime: Runtime;
  readonly #host: Runtime;
  readonly #knobs: Map<string, OrtTensor>;
  readonly #compiled: Compiled;
  readonly #listeners = new Set<TapListener>();
  readonly #store: StateStore;
  #feeder: KnobFeeder | undefined;
  #settings: Settings | undefined;
  #refusesPadding = false;
  #runs = 0;
  /** Ends when the last run has ended and the session is released. */
  #released: Promise<void> | undefined;
  #lastRunEnded: (() => void) | undefined;

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
    this.#knobs = this.knobTensors({});
  }

  /** Name, type and shape of each input. */
  get inputMetadata(): readonly ValueMetadata[] {
    return (this.#inner.inputMetadata ?? []).filter(({ name }) => this.inputNames.includes(name));
  }

  /** Name, type and shape of each output. */
  get outputMetadata(): readonly ValueMetadata[] {
    return (this.#inner.outputMetadata ?? []).filter(({ name }) => this.outputNames.includes(name));
  }

  /** Names of the knobs of its graph. */
  get knobNames(): readonly string[] {
    return this.#compiled.knobs.map(({ name }) => name);
  }

  /**
   * Values for all knobs of the graph: those given, neutral ones for the others. Names it does not have are left out.
   * @throws AttuneError KNOB_SHAPE
   */
  knobTensors(values: Readonly<Record<string, KnobValue>>): Map<string, OrtTensor> {
    return new Map(
      this.#compiled.knobs.map(({ name, neutral }) => [
        name,
        this.#knobTensor(name, values[name] ?? neutral),
      ]),
    );
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

  /** Refuse feeds whose mask hides tokens, for a graph that would read them as text. */
  refusePadding(): void {
    this.#refusesPadding = true;
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

  /** Runs it under its own settings, as a session of ONNX Runtime is run. */
  async run(feeds: Feeds, fetchesOrOptions?: object, options?: object): Promise<Record<string, OrtTensor>> {
    return (await this.pass(feeds, {}, fetchesOrOptions, options)).outputs;
  }

  /**
   * A run under other settings, with other knob values, or with reports.
   * @throws AttuneError SESSION_RELEASED, PADDING_UNCORRECTED, STATE_MISMATCH, KNOB_SHAPE, RUN_FAILED with ONNX Runtime's words
   */
  async pass(
    feeds: Feeds,
    options: PassOptions,
    fetchesOrOptions?: object,
    runOptions?: object,
  ): Promise<PassResults> {
    if (this.#released) {
      throw new AttuneError('SESSION_RELEASED', { hint: 'The model was disposed; load it again.' });
    }
    if (this.#refusesPadding && isPadded(feeds)) throw uncorrected();
    this.#runs++;
    try {
      return await this.#pass(feeds, options, fetchesOrOptions, runOptions);
    } finally {
      this.#runs--;
      if (this.#runs === 0) this.#lastRunEnded?.();
    }
  }

  get #ownSettings(): RunSettings {
    return { knobs: this.#knobs, feeder: this.#feeder, states: this.#settings, listeners: this.#listeners };
  }

  async #pass(
    feeds: Feeds,
    { settings = this.#ownSettings, knobs = {}, feeder = settings.feeder, reports = [] }: PassOptions,
    fetchesOrOptions?: object,
    options?: object,
  ): Promise<PassResults> {
    const own = fetchesOrOptions !== undefined && isFetches(fetchesOrOptions, this.outputNames);
    const fetches = own ? (fetchesOrOptions as Fetches) : undefined;
    const runOptions = own ? options : (fetchesOrOptions ?? options);
    const { states, listeners } = settings;
    const wantsTaps = listeners !== undefined && listeners.size > 0 && this.taps.length > 0;
    const carried = this.#store.before(feeds, this.#compiled, states, this.#runtime);
    const all = { ...this.#withKnobs(feeds, settings.knobs, { ...feeder?.(feeds), ...knobs }), ...carried };
    const fetched = this.#fetchList(fetches, [
      ...(wantsTaps ? this.taps.map(({ output }) => output) : []),
      ...this.#store.wanted(this.#compiled, states, carried),
      ...reports,
    ]);
    const results = await this.#run(all, fetched, runOptions);
    if (wantsTaps) await this.#deliver(results, listeners);
    const outputs: Record<string, OrtTensor> = {};
    for (const [name, tensor] of Object.entries(results)) {
      if (this.outputNames.includes(name)) outputs[name] = this.#toHost(tensor);
    }
    if (states !== undefined) this.#store.after(outputs, results, this.#compiled, states, all);
    const reported = reports.map((name) => [name, this.#toHost(results[name]!)] as const);
    return { outputs, reports: Object.fromEntries(reported) };
  }

  async #run(feeds: Feeds, fetches: Fetches, options: object | undefined) {
    const run = () => (options ? this.#inner.run(feeds, fetches, options) : this.#inner.run(feeds, fetches));
    try {
      return await alone(this.#runtime, run);
    } catch (cause) {
      if (isAttuneError(cause)) throw cause;
      throw new AttuneError('RUN_FAILED', {
        found: (cause as Error).message,
        hint: 'ONNX Runtime refused this run: look at the types, shapes and token ids of what was given.',
        cause,
      });
    }
  }

  #withKnobs(feeds: Feeds, knobs: RunSettings['knobs'], values: Readonly<Record<string, KnobValue>>): Feeds {
    const all: Record<string, OrtTensor> = {};
    for (const [name, tensor] of Object.entries(feeds)) all[name] = this.#toRuntime(tensor);
    for (const [name, tensor] of knobs) all[name] = tensor;
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

  async #deliver(results: Record<string, OrtTensor>, listeners: ReadonlySet<TapListener>): Promise<void> {
    const taps = new Map(this.taps.map(({ point, output }) => [point.name, this.#toHost(results[output]!)]));
    for (const listener of listeners) await listener(taps);
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

  /** No run begins any more; those under way end first. */
  release(): Promise<void> {
    this.#released ??= this.#end();
    return this.#released;
  }

  async #end(): Promise<void> {
    if (this.#runs > 0) {
      await new Promise<void>((ended) => {
        this.#lastRunEnded = ended;
      });
    }
    this.#listeners.clear();
    await this.#inner.release();
  }

  /** Releases it, for `await using`. */
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

const uncorrected = (): AttuneError =>
  new AttuneError('PADDING_UNCORRECTED', {
    at: 'attention_mask',
    found: 'padding, on an export whose attention counts real tokens and takes them for the first',
    expected: 'a session that corrects it',
    hint: 'Create the session with { padding: true }.',
  });
