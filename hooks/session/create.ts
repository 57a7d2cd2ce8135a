/** From an opened model and a plan to a running session, weights left where they are. */
import { AttuneError, isAttuneError } from '../../errors.ts';
import {
  assemble,
  encodeModel,
  externalFiles,
  graft,
  grafted,
  type Model,
  nodeModule,
  type OnnxFile,
  realPlaces,
} from '../../onnx/index.ts';
import type { Recognition } from '../../sites/site.ts';
import { type Compiled, compile, type KernelOptions, oneOfTwins, type Plan } from '../compile/index.ts';
import { paddingPlan } from './padding.ts';
import { executionProviderOf } from './provider.ts';
import { alone, isWeb, kernelsOf, loadRuntime, ortVersion, type Runtime } from './runtime.ts';
import { HookedSession } from './session.ts';
import type { StateStore } from './states.ts';
import { tooLarge } from './too-large.ts';

/** How a bare session is made. */
export interface SessionOptions {
  /** Default: onnxruntime-node in Node, onnxruntime-web elsewhere. */
  readonly runtime?: Runtime;
  /** Runtime whose tensors the caller uses; default `runtime`. */
  readonly host?: Runtime;
  /** Passed to InferenceSession.create. */
  readonly session?: Readonly<Record<string, unknown>>;
  /**
   * 'reference' leaves weights in the model file and lets ONNX Runtime map them (Node, from a path);
   * 'copy' hands over the whole model as bytes. Default: by runtime and source; in a browser ONNX Runtime is handed the bytes or
   * Blobs of the files and reads weights from them, with no copy in between.
   */
  readonly weights?: 'reference' | 'copy';
  /** How attention is computed; by default the lowering measured cheapest, in 16 MiB of scores. */
  readonly kernels?: KernelOptions | undefined;
  /**
   * Correct left padding on GroupQueryAttention exports, about 4 % of a prefill. Without it such a session refuses padded feeds
   * (PADDING_UNCORRECTED): the operator would attend to padding, and miss as many of the newest keys.
   */
  readonly padding?: boolean;
  /** States of caches, to be shared by the sessions of one model. */
  readonly states?: StateStore;
}

/**
 * Compiles a plan into an opened model and makes a session of it. Models that `attune()` loads have theirs already.
 *
 * @example await using session = await createSession(file, recognise(file.model, { source: file.source }), { taps });
 *
 * @param recognition what `recognise` found in the file
 * @throws AttuneError EXTERNAL_DATA_MISSING, MODEL_TOO_LARGE, SESSION_FAILED with ONNX Runtime's words, and those of compile; its runs
 *   PADDING_UNCORRECTED
 */
export async function createSession(
  file: OnnxFile,
  recognition: Pick<Recognition, 'model' | 'sites'>,
  plan: Plan,
  options: SessionOptions = {},
): Promise<HookedSession> {
  const runtime = options.runtime ?? (await loadRuntime());
  const ep = executionProviderOf(runtime, options.session);
  const hasMask = file.model.graph.inputs.some(({ name }) => name === 'attention_mask');
  const { edits: correction = [] } = paddingPlan(oneOfTwins(recognition.sites), hasMask);
  const whole = options.padding ? { ...plan, edits: [...correction, ...(plan.edits ?? [])] } : plan;
  const target = { ep, onnxruntime: ortVersion(runtime), operators: kernelsOf(runtime) };
  const compiled = compile(recognition, whole, { ...options.kernels, ...target });
  const session = await startSession(file, compiled, { ...options, runtime });
  if (!options.padding && correction.length > 0) session.refusePadding();
  return session;
}

/** The session of a graph that was compiled already. */
export async function startSession(
  file: OnnxFile,
  compiled: Compiled,
  options: SessionOptions & { readonly runtime: Runtime },
): Promise<HookedSession> {
  const { runtime, host = runtime, session = {} } = options;
  const path = file.source.path;
  const reference = options.weights ? options.weights === 'reference' : path !== undefined && !isWeb(runtime);
  const settings: Record<string, unknown> = { ...session, ...statesStay(session, compiled) };
  let bytes: Uint8Array;
  if (reference) {
    if (path === undefined) {
      throw new AttuneError('WEIGHTS_WITHOUT_FILE', {
        found: `a model from ${file.source.name}`,
        expected: 'a file on disk, to refer to its weights',
        hint: "Use weights: 'copy'.",
      });
    }
    const places = realPlaces(file.model, path);
    bytes = await assemble(graft(compiled.model, places.own, places.renamed), file.source);
    const extra = (settings.extra ?? {}) as { session?: object };
    settings.extra = {
      ...extra,
      session: { ...extra.session, model_external_initializers_file_folder_path: places.folder },
    };
  } else if (path === undefined && isWeb(runtime) && !options.weights) {
    const mounted = await mountedWeights(compiled.model, file);
    bytes = await assemble(encodeModel(mounted.model), file.source);
    settings.externalData = mounted.files;
  } else {
    bytes = await assemble(encodeModel(compiled.model), file.source);
    if (path !== undefined) settings.externalData ??= await readExternalFiles(file, path);
  }
  try {
    const inner = await alone(runtime, () => runtime.InferenceSession.create(bytes, settings));
    return new HookedSession(inner, compiled, runtime, host, options.states);
  } catch (cause) {
    if (isAttuneError(cause) && cause.code !== 'SESSION_FAILED') throw cause;
    const large = tooLarge(cause, file.source.name);
    if (large) throw large;
    throw new AttuneError('SESSION_FAILED', {
      at: file.source.name,
      found: isAttuneError(cause) ? cause.found : (cause as Error).message,
      hint: 'If the untouched file loads, please report this with `attune inspect --json`.',
      cause,
    });
  }
}

/** What a call leaves to the next stays where its cache does. */
function statesStay(
  { preferredOutputLocation: wish }: Readonly<Record<string, unknown>>,
  { states }: Compiled,
) {
  if (typeof wish !== 'object' || wish === null || states.length === 0) return {};
  const own = Object.fromEntries(states.map(({ output }) => [output, 'gpu-buffer']));
  return { preferredOutputLocation: { ...own, ...wish } };
}

/** The name under which onnxruntime-web reads the weights that stand in the .onnx file itself. */
const OWN_FILE = 'attune-own-weights';

interface ExternalFile {
  readonly path: string;
  readonly data: Uint8Array | Blob;
}

/** The graph with its weights as external data, and the files to read them from. */
async function mountedWeights(
  model: Model,
  { source }: OnnxFile,
): Promise<{ readonly model: Model; readonly files: readonly ExternalFile[] }> {
  const graph = grafted(model, OWN_FILE);
  const files = externalFiles(graph).map(async (path) => {
    const from = path === OWN_FILE ? source : await source.beside?.(path);
    if (from?.whole) return { path, data: from.whole };
    throw new AttuneError('EXTERNAL_DATA_MISSING', {
      at: source.name,
      found: `a graph from bytes alone, whose weights are in ${path}`,
      expected: 'the file with them',
      hint: 'Give openModel a source that has the files beside it: heldSource(graph, name, (location) => …).',
    });
  });
  return { model: graph, files: await Promise.all(files) };
}

/** @throws AttuneError EXTERNAL_DATA_* before anything is read */
async function readExternalFiles(
  file: OnnxFile,
  path: string,
): Promise<{ path: string; data: Uint8Array }[]> {
  const { readFile } = nodeModule('node:fs/promises');
  const { files } = realPlaces(file.model, path);
  return Promise.all(
    [...files].map(async ([location, real]) => ({
      path: location,
      data: new Uint8Array(await readFile(real)),
    })),
  );
}
