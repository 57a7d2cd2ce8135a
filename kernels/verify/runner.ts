/**
 * Running small graphs on an execution provider of this machine: onnxruntime-node for cpu and webgpu, onnxruntime-web
 * for wasm. One session per distinct graph, kept for the life of the runner.
 */
import { AttuneError } from '../../errors.ts';
import {
  assemble,
  DataType,
  encodeModel,
  type FunctionDef,
  type Graph,
  halfToNumber,
  makeModel,
  numberToHalf,
} from '../../onnx/index.ts';
import { bytesSource } from '../../onnx/source.ts';

export const EXECUTION_PROVIDERS = ['cpu', 'wasm', 'webgpu'] as const;
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

export interface Feed {
  readonly elemType: number;
  readonly dims: readonly number[];
  readonly values: ArrayLike<number>;
}

export interface Result {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

export interface RunnableGraph {
  readonly graph: Graph;
  readonly functions: readonly FunctionDef[];
  readonly opsets: Readonly<Record<string, number>>;
}

export interface Runner extends AsyncDisposable {
  readonly ep: ExecutionProvider;
  run(model: RunnableGraph, feeds: Readonly<Record<string, Feed>>): Promise<Record<string, Result>>;
  /**
   * The same with session and tensors made beforehand, for timing; results are dropped.
   * @param into shapes of float32 results that are written into memory made once, as the others are at every run
   */
  prepare(
    model: RunnableGraph,
    feeds: Readonly<Record<string, Feed>>,
    into?: Readonly<Record<string, readonly number[]>>,
  ): Promise<() => Promise<void>>;
}

type Ort = typeof import('onnxruntime-node');
type OrtTensor = import('onnxruntime-node').Tensor;

/**
 * @param threads of the cpu provider; graphs of one small site would only wait for each other. Default 1.
 * @param runtime in place of the installed one
 * @throws AttuneError EP_UNAVAILABLE when this machine or package has no such provider
 */
export async function createRunner(
  ep: ExecutionProvider,
  { threads = 1, runtime }: { threads?: number; runtime?: object | undefined } = {},
): Promise<Runner> {
  const ort = (runtime as Ort | undefined) ?? (await load(ep));
  const sessions = new Map<string, Promise<import('onnxruntime-node').InferenceSession>>();
  const sessionOf = async (model: RunnableGraph) => {
    const { graph, functions, opsets } = model;
    const bytes = await assemble(
      encodeModel(makeModel(graph, { ...opsets }, { functions })),
      bytesSource(new Uint8Array()),
    );
    // Equal bytes are equal models; the text form of a small graph is a good enough key.
    const key = Buffer.from(bytes).toString('latin1');
    const made = sessions.get(key) ?? open(ort, bytes, ep, threads);
    sessions.set(key, made);
    return made;
  };
  return {
    ep,
    async run(model, feeds) {
      const session = await sessionOf(model);
      const results = await session.run(tensorsOf(ort, feeds));
      return Object.fromEntries(
        Object.entries(results).map(([name, value]) => [name, { dims: value.dims, data: numbersOf(value) }]),
      );
    },
    async prepare(model, feeds, into = {}) {
      const session = await sessionOf(model);
      const tensors = tensorsOf(ort, feeds);
      const room = (name: string) => {
        const dims = into[name];
        const size = dims?.reduce((a, b) => a * b, 1);
        return dims && new ort.Tensor('float32', new Float32Array(size!), dims);
      };
      const fetches = Object.fromEntries(session.outputNames.map((name) => [name, room(name) ?? null]));
      return async () => {
        await session.run(tensors, fetches);
      };
    },
    async [Symbol.asyncDispose]() {
      const opened = await Promise.allSettled(sessions.values());
      for (const session of opened) if (session.status === 'fulfilled') await session.value.release();
      sessions.clear();
    },
  };
}

async function load(ep: ExecutionProvider): Promise<Ort> {
  const ort = named(ep === 'wasm' ? await import('onnxruntime-web') : await import('onnxruntime-node'));
  if (ep === 'wasm') ort.env.wasm.numThreads = 1;
  return ort;
}

/** The packages are CommonJS or ESM as the loader sees fit: names are on the namespace or on its default. */
function named(namespace: object): Ort {
  const found = 'InferenceSession' in namespace ? namespace : (namespace as { default: object }).default;
  return found as Ort;
}

async function open(ort: Ort, bytes: Uint8Array, ep: ExecutionProvider, threads: number) {
  try {
    return await ort.InferenceSession.create(bytes, {
      executionProviders: [ep],
      logSeverityLevel: 3,
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      // Waiting threads that spin are charged to whoever measures, or runs beside.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (!/backend|provider|EP|adapter/i.test(message) || ep === 'cpu') throw cause;
    throw new AttuneError('EP_UNAVAILABLE', {
      found: message,
      expected: `the ${ep} execution provider`,
      hint: 'Try another with --ep cpu or --ep wasm.',
      cause,
    });
  }
}

function numbersOf({ type, data }: OrtTensor): ArrayLike<number> {
  const elements = data as ArrayLike<number>;
  return type === 'float16' && elements instanceof Uint16Array
    ? Array.from(elements, halfToNumber)
    : elements;
}

function tensorsOf(ort: Ort, feeds: Readonly<Record<string, Feed>>) {
  return Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, tensorOf(ort, feed)]));
}

function tensorOf(ort: Ort, { elemType, dims, values }: Feed) {
  switch (elemType) {
    case DataType.FLOAT:
      return new ort.Tensor('float32', Float32Array.from(values), dims);
    case DataType.FLOAT16:
      return new ort.Tensor('float16', Uint16Array.from(values, numberToHalf), dims);
    case DataType.INT64:
      return new ort.Tensor('int64', BigInt64Array.from(values as ArrayLike<never>, BigInt), dims);
    case DataType.INT32:
      return new ort.Tensor('int32', Int32Array.from(values), dims);
    default:
      throw new AttuneError('FEED_TYPE', { found: `element type ${elemType}` });
  }
}
