/**
 * InferenceSession of the native runtime, with the interface of onnxruntime-common. Runs happen off the main thread and may be
 * cut short by an AbortSignal: `run(feeds, { signal })`. Outputs asked for at 'gpu-buffer' (`preferredOutputLocation`, as for
 * WebGPU) stay in native memory; caches of GroupQueryAttention among them grow in place.
 */
import { AttuneError } from '../../../errors.ts';
import { DOMAIN } from '../../../onnx/emitter.ts';
import { openModel } from '../../../onnx/index.ts';
import type { Feeds, OrtSession, OrtTensor, Runtime, ValueMetadata } from '../runtime.ts';
import {
  type LoadedAddon,
  type NativeControl,
  type NativePort,
  type NativeSessionObject,
  nativeError,
  type SharedCacheFeed,
} from './addon.ts';
import { runSettings, sessionSettings } from './options.ts';
import { type SharedCache, sharedCaches } from './shared-caches.ts';
import { dataOf, elementCode, elementName, tensorOf } from './tensors.ts';

type Options = Readonly<Record<string, unknown>>;

/** Where ONNX Runtime finds weights of a model that comes as bytes. */
const SAID = 'See the message of ONNX Runtime.';

/** A session of the native runtime. */
export class NativeSession implements OrtSession {
  /** Inputs of the graph, in its order. */
  readonly inputNames: readonly string[];
  /** Outputs of the graph, in its order. */
  readonly outputNames: readonly string[];
  /** Name, type and shape of each input. */
  readonly inputMetadata: readonly ValueMetadata[];
  /** Name, type and shape of each output. */
  readonly outputMetadata: readonly ValueMetadata[];
  /** Caches that grow in place. */
  readonly sharedCaches: readonly SharedCache[];
  readonly #inner: NativeSessionObject;
  readonly #loaded: LoadedAddon;
  readonly #runtime: Runtime;
  readonly #kept: ReadonlySet<string>;
  #released = false;

  private constructor(
    inner: NativeSessionObject,
    loaded: LoadedAddon,
    runtime: Runtime,
    kept: ReadonlySet<string>,
    caches: readonly SharedCache[],
  ) {
    this.#inner = inner;
    this.#loaded = loaded;
    this.#runtime = runtime;
    this.#kept = kept;
    this.sharedCaches = caches;
    const { inputs, outputs } = inner;
    this.inputNames = inputs.map(({ name }) => name);
    this.outputNames = outputs.map(({ name }) => name);
    this.inputMetadata = inputs.map(metadata);
    this.outputMetadata = outputs.map(metadata);
  }

  /**
   * Makes a session of a model.
   *
   * @param model path, or bytes
   * @throws AttuneError SESSION_FAILED with ONNX Runtime's words, THREADS_INVALID, NATIVE_OPTION
   */
  static async create(
    loaded: LoadedAddon,
    runtime: Runtime,
    model: string | Uint8Array,
    options: Options = {},
  ): Promise<NativeSession> {
    const settings = sessionSettings(options);
    const read = await factsOf(model, loaded.operators);
    let inner: NativeSessionObject;
    try {
      inner = await loaded.addon.createSession(loaded.library, model, {
        ...settings,
        operators: read.operators,
      });
    } catch (cause) {
      throw nativeError(cause, { code: 'SESSION_FAILED', hint: SAID });
    }
    const kept = new Set(inner.outputs.map(({ name }) => name).filter((name) => stays(name, options)));
    return new NativeSession(
      inner,
      loaded,
      runtime,
      kept,
      kept.size === 0 ? [] : read.caches.filter(({ present }) => kept.has(present)),
    );
  }

  /** Bytes of caches and outputs in native memory that JavaScript keeps alive. */
  get heldBytes(): number {
    return this.#inner.held;
  }

  /**
   * Runs it off the main thread. A second argument names the outputs wanted, a last one has options: `signal` cuts
   * the run short.
   */
  async run(feeds: Feeds, fetchesOrOptions?: object, options?: object): Promise<Record<string, OrtTensor>> {
    if (this.#released) {
      throw new AttuneError('SESSION_RELEASED', { hint: 'The model was disposed; load it again.' });
    }
    const own = fetchesOrOptions !== undefined && this.#isFetches(fetchesOrOptions);
    const fetched = this.#fetched(own ? fetchesOrOptions : undefined);
    const names = [...fetched.keys()];
    const given = this.inputNames.flatMap((name, index) => this.#given(name, index, feeds));
    const signal = ((own ? options : fetchesOrOptions) as { signal?: AbortSignal } | undefined)?.signal;
    const { control, done } = this.#control(
      (own ? options : fetchesOrOptions) as Options | undefined,
      signal,
    );
    try {
      const results = await this.#inner.run(
        given.map(({ index }) => index),
        given.map(({ element }) => element),
        given.map(({ dims }) => dims),
        given.map(({ data }) => data),
        names.map((name) => this.outputNames.indexOf(name)),
        names.map((name) => this.#kept.has(name) && !fetched.get(name)),
        this.#shared(feeds, given, names, fetched),
        control,
      );
      return Object.fromEntries(
        results.map((result, i) => {
          const tensor = tensorOf(result, this.#runtime);
          return [names[i]!, into(fetched.get(names[i]!), tensor, names[i]!)];
        }),
      );
    } catch (cause) {
      if (cause instanceof AttuneError) throw cause;
      throw nativeError(cause, signal?.aborted ? { code: 'RUN_CANCELLED' } : { hint: SAID });
    } finally {
      done();
    }
  }

  #given(name: string, index: number, feeds: Feeds) {
    const tensor = feeds[name];
    if (tensor === undefined) {
      throw new AttuneError('INPUT_MISSING', {
        found: `no value for input "${name}"`,
        expected: this.inputNames.join(', '),
      });
    }
    const data = dataOf(tensor, name, this.#loaded.addon);
    return [{ name, index, element: elementCode(tensor, name), dims: tensor.dims, data }];
  }

  /**
   * Caches of this run that may grow in place: fed, fetched, kept, and all as long as mask and new tokens say. What does not add up
   * is ONNX Runtime's to refuse, in the shapes it was given.
   */
  #shared(
    feeds: Feeds,
    given: readonly { readonly name: string }[],
    names: readonly string[],
    fetched: ReadonlyMap<string, OrtTensor | null>,
  ): SharedCacheFeed[] {
    const feedOf = new Map(given.map(({ name }, position) => [name, position]));
    const outputOf = new Map(names.map((name, position) => [name, position]));
    const fresh = (feeds.input_ids ?? feeds.inputs_embeds)?.dims[1];
    const usable = this.sharedCaches.flatMap(({ past, present, mask }) => {
      const [feed, output] = [feedOf.get(past), outputOf.get(present)];
      const total = feeds[mask]?.dims[1];
      const [rank, before = 0] = [feeds[past]?.dims.length, feeds[past]?.dims[2]];
      const fits = rank === 4 && fresh !== undefined && fresh > 0 && total === before + fresh;
      if (feed === undefined || output === undefined || fetched.get(present) || !fits) return [];
      return [{ feed, output, total }];
    });
    // The operator shares keys and values or neither, and its past has one shape: all or none.
    return usable.length === this.sharedCaches.length ? usable : [];
  }

  #control(options: Options | undefined, signal: AbortSignal | undefined) {
    if (!options || Object.keys(options).length === 0) return { control: undefined, done: () => undefined };
    const control: NativeControl = new this.#loaded.addon.RunControl(
      this.#loaded.library,
      runSettings(options),
    );
    const cancel = () => control.cancel();
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    return { control, done: () => signal?.removeEventListener('abort', cancel) };
  }

  /** ONNX Runtime takes fetches or options second, and tells them apart the same way. */
  #isFetches(argument: object): boolean {
    if (Array.isArray(argument)) return true;
    return Object.keys(argument).some((key) => this.outputNames.includes(key));
  }

  /** @throws AttuneError OUTPUT_UNKNOWN */
  #fetched(fetches: object | undefined): Map<string, OrtTensor | null> {
    if (fetches === undefined) return new Map(this.outputNames.map((name) => [name, null]));
    const wanted = Array.isArray(fetches)
      ? (fetches as string[]).map((name) => [name, null] as const)
      : Object.entries(fetches as Record<string, OrtTensor | null>);
    for (const [name] of wanted) {
      if (this.outputNames.includes(name)) continue;
      throw new AttuneError('OUTPUT_UNKNOWN', {
        found: `output "${name}"`,
        expected: this.outputNames.join(', '),
      });
    }
    return new Map(wanted);
  }

  /** Frees it; runs that are asked for afterwards are refused. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#inner.release();
  }

  /** Profiling starts with the session, by the option enableProfiling. */
  startProfiling(): void {}

  /** Writes the profile. @returns its file */
  endProfiling(): string {
    return this.#inner.endProfiling();
  }
}

/** Whether an output stays in native memory. */
function stays(name: string, { preferredOutputLocation: wish }: Options): boolean {
  const location = typeof wish === 'object' && wish !== null ? (wish as Options)[name] : wish;
  return location === 'gpu-buffer';
}

/**
 * What is told by the graph: functions that the addon has a kernel for, and caches that may be shared. What cannot be read is
 * ONNX Runtime's to refuse, in its own words.
 */
async function factsOf(
  model: string | Uint8Array,
  known: readonly string[],
): Promise<{ readonly operators: readonly string[]; readonly caches: readonly SharedCache[] }> {
  const file = await openModel(model).catch(() => undefined);
  if (!file) return { operators: [], caches: [] };
  try {
    const own = file.model.functions.filter(({ domain }) => domain === DOMAIN).map(({ name }) => name);
    const operators = own.filter((name) => known.some((begins) => name.startsWith(`${begins}_`)));
    return { operators, caches: sharedCaches(file.model, operators) };
  } finally {
    file.close();
  }
}

function metadata({ name, isTensor, element, dims, symbols }: NativePort): ValueMetadata {
  if (!isTensor) return { name, isTensor };
  const type = elementName(element);
  return {
    name,
    isTensor,
    ...(type && { type }),
    shape: dims.map((dim, axis) => (dim >= 0 ? dim : symbols[axis]!)),
  };
}

/** The numbers in a tensor that the caller allocated, where there is one. */
function into(given: OrtTensor | null | undefined, result: OrtTensor, name: string): OrtTensor {
  if (!given) return result;
  const same = given.type === result.type && given.dims.join() === result.dims.join();
  if (!same) {
    throw new AttuneError('OUTPUT_SHAPE', {
      at: name,
      found: `${result.type} [${result.dims.join(', ')}]`,
      expected: `${given.type} [${given.dims.join(', ')}], as allocated`,
    });
  }
  (given.data as { set(values: unknown): void }).set(result.data);
  return given;
}
