/** Putting attune behind a model that is loaded already, as by a pipeline. */
import { AttuneError } from '../../errors.ts';
import { inNode } from '../../onnx/index.ts';
import { type OrtSession, PlainTensor, type Runtime } from '../session/index.ts';
import {
  attach,
  type GraphOrigin,
  hookedName,
  type Origins,
  type PlainSession,
  type TransformersModel,
} from './attach.ts';
import { graphOfSession } from './files.ts';
import { hostOf } from './host.ts';
import type { HostEnvironment } from './host-environment.ts';
import { kindOf } from './kind-of.ts';
import { folderOfModel } from './locate.ts';
import type { AttunedModel } from './model.ts';
import { type AttachOptions, checkOptions } from './options.ts';
import { webGraphOfSession } from './web-graph.ts';
import { webRuntimeOf } from './web-host.ts';

/**
 * Put attune behind a model that is loaded already, such as that of a pipeline. The hooked session is made anew from the file it came
 * from; the model stays the object it was, with the methods of AttunedModel.
 *
 * @example
 * ```ts
 * const loaded = await AutoModelForCausalLM.from_pretrained(folder, { dtype: 'fp32' });
 * const model = await wrap(loaded, folder, { interventions: [zeroTuning({ gamma: 1.4 })] });
 * const output = await model.generate({ ...inputs, max_new_tokens: 8 });
 * ```
 * @param model a loaded model of transformers.js; for a pipeline, `pipe.model`
 * @param idOrFolder what the model was loaded from; may be left out where one folder below env.localModelPath or env.cacheDir has
 *   the model's config.json
 * @param options interventions, prepare, and which files; may stand in the place of `idOrFolder`
 * @throws AttuneError MODEL_FOLDER_UNKNOWN, GRAPH_NOT_FOUND, WRAPPED_TWICE, and those of from_pretrained
 */
export async function wrap<M extends TransformersModel>(
  model: M,
  idOrFolder?: string | AttachOptions,
  options: AttachOptions = {},
): Promise<AttunedModel & M> {
  if (typeof idOrFolder === 'object') return wrap(model, undefined, idOrFolder);
  checkOptions(options, 'attune.wrap');
  checkWrappable(model);
  const hooked = hookedName(model, options.session);
  const plain = model.sessions[hooked] as PlainSession;
  const found = await hostOf(model.constructor as never);
  const host = runtimeOf(plain, found?.runtime);
  const env = found?.env ?? {};
  const graph = await graphsOf(model, idOrFolder, env, options);
  const origins: Origins = {
    host,
    graph,
    options: () => ({
      ...(plain.config?.device && { executionProviders: [plain.config.device] }),
      ...options.session_options,
    }),
  };
  // Before the session is given up.
  await graph(hooked);
  return attach(model, hooked, origins, options);
}

/** How the graph of a session is found again. @throws AttuneError MODEL_FOLDER_UNKNOWN, GRAPH_NOT_FOUND */
async function graphsOf(
  model: TransformersModel,
  idOrFolder: string | undefined,
  env: HostEnvironment,
  options: AttachOptions,
): Promise<Origins['graph']> {
  const from = idOrFolder ?? (await folderOfModel(model.config, env));
  const found = new Map<string, Promise<GraphOrigin>>();
  return (name) => {
    const { config } = model.sessions[name] as PlainSession;
    const dtype = config?.dtype ?? 'fp32';
    const files = fileOptions(options, env);
    const graph =
      found.get(name) ??
      (inNode()
        ? graphOfSession(from, name, dtype, files)
        : webGraphOfSession(from, name, dtype, { ...files, env }));
    found.set(name, graph);
    return graph;
  };
}

const fileOptions = (options: AttachOptions, env: HostEnvironment) => ({
  subfolder: options.subfolder ?? 'onnx',
  revision: options.revision ?? 'main',
  cacheDir: options.cache_dir ?? env.cacheDir ?? null,
  localModelPath: env.localModelPath ?? null,
  modelFileName: options.model_file_name ?? null,
});

/** @throws AttuneError ARGUMENT_INVALID, WRAPPED_TWICE */
function checkWrappable(model: TransformersModel): void {
  if (typeof (model as { sessions?: unknown } | null)?.sessions !== 'object') {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: 'attune.wrap',
      found: kindOf(model),
      expected: 'a model of transformers.js that is loaded',
      hint: 'For a pipeline, wrap its model: attune.wrap(pipe.model).',
    });
  }
  if (!('attune' in model)) return;
  throw new AttuneError('WRAPPED_TWICE', {
    at: 'attune.wrap',
    found: 'a model that has attune behind it already',
    hint: 'Use it as it is: model.use([…]).',
  });
}

/** The runtime that made a session; `found` where the session is of it, because it also has the Tensor class. */
function runtimeOf(session: OrtSession, found: Runtime | undefined): Runtime {
  const InferenceSession = session.constructor as unknown as Runtime['InferenceSession'];
  if (found && (found.InferenceSession === InferenceSession || typeof InferenceSession.create !== 'function'))
    return found;
  if (!inNode()) return webRuntimeOf(InferenceSession);
  return { InferenceSession, Tensor: PlainTensor, backend: 'node' };
}
