/** Loading a model: what transformers.js finds and configures, with graphs that are edited before they are loaded once. */
import { AttuneError } from '../../errors.ts';
import { inNode } from '../../onnx/index.ts';
import { alone, type OrtSession, type Runtime, tooLarge } from '../session/index.ts';
import {
  attach,
  type GraphOrigin,
  hookedName,
  letGo,
  type Origins,
  type TransformersModel,
  type TransformersModelClass,
} from './attach.ts';
import { refuseMissingData } from './external-data.ts';
import { hostOf } from './host.ts';
import type { Host } from './host-environment.ts';
import { kindOf } from './kind-of.ts';
import { loadFailure, refuseNoFolder } from './load-failure.ts';
import type { AttunedModel } from './model.ts';
import { type AttachOptions, checkOptions, type LoadOptions, NOT_THEIRS } from './options.ts';
import { PendingSession, withPendingSessions } from './pending.ts';
import { refuseMissingDevice } from './web-device.ts';
import { loadedGraph } from './web-graph.ts';
import { wrap } from './wrap.ts';

/**
 * Load a model with attune behind its sessions. Files, cache, revision and token are those of the transformers.js that the class
 * comes from, and so is ONNX Runtime.
 *
 * @param modelClass a transformers.js class, such as AutoModelForCausalLM
 * @param idOrFolder Hub id (its cache is honoured) or folder in Hub layout
 * @param options those of transformers.js (dtype, device, …) and AttachOptions
 * @throws AttuneError OPTION_UNKNOWN, OPTION_INVALID, DTYPE_UNKNOWN, MODEL_LOAD, NO_ATTENTION, INTERVENTION_*, EXTERNAL_DATA_MISSING,
 *   SESSION_FAILED, MODEL_TOO_LARGE, WEBGPU_MISSING
 */
export async function from_pretrained<M extends TransformersModel>(
  modelClass: TransformersModelClass<M>,
  idOrFolder: string,
  options: LoadOptions = {},
): Promise<AttunedModel & M> {
  checkCall(modelClass, idOrFolder);
  checkOptions(options, 'attune');
  const { session_options, ...rest } = options;
  const transformers = withoutOurs(rest);
  const host = await hostOf(modelClass);
  const attempt = { idOrFolder, options, env: host?.env ?? {} };
  const failed = (cause: unknown) => loadFailure(cause, attempt);
  await refuseNoFolder(attempt);
  await refuseMissingData(attempt);
  await refuseMissingDevice(options);
  const load = async (session: object | undefined) => {
    try {
      return await modelClass.from_pretrained(idOrFolder, {
        ...transformers,
        session_options: session ?? {},
      });
    } catch (cause) {
      throw await failed(cause);
    }
  };
  const model = host
    ? await withPendingSessions(host.runtime, session_options, load)
    : await load(session_options);
  const pending = Object.values(model.sessions).every((session) => session instanceof PendingSession);
  try {
    if (!host || !pending) return await wrap(model, idOrFolder, attachOptions(options));
    return await attachPending(model, idOrFolder, host, options);
  } catch (error) {
    // What went wrong matters more than that some sessions may be gone already.
    await model.dispose().catch(() => undefined);
    throw error;
  }
}

/** The options of transformers.js alone. */
function withoutOurs(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !NOT_THEIRS.has(name)));
}

/** Those that matter when the model is there. */
function attachOptions(options: LoadOptions): AttachOptions {
  const { dtype, device, progress_callback, config, local_files_only, use_external_data_format, ...rest } =
    options;
  return rest;
}

/** @throws AttuneError ARGUMENT_INVALID saying what to write */
function checkCall(modelClass: unknown, idOrFolder: unknown): void {
  const isClass = typeof (modelClass as { from_pretrained?: unknown } | null)?.from_pretrained === 'function';
  if (isClass && typeof idOrFolder === 'string' && idOrFolder !== '') return;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: 'attune',
    found: isClass
      ? `${kindOf(idOrFolder)} as its second argument`
      : `${kindOf(modelClass)} as its first argument`,
    expected: isClass ? 'a Hub id or a folder' : 'a class of transformers.js',
    hint: "Write attune(AutoModelForCausalLM, 'onnx-community/Qwen2.5-0.5B-Instruct', { dtype: 'q4' }).",
  });
}

/** The sessions are still to be made: the hooked one from its edited graph, the others as transformers.js would have. */
async function attachPending<M extends TransformersModel>(
  model: M,
  idOrFolder: string,
  host: Host,
  options: LoadOptions,
): Promise<AttunedModel & M> {
  const { runtime } = host;
  const pending = { ...model.sessions } as Record<string, PendingSession>;
  const hooked = hookedName(model, options.session);
  const graphs = graphsOf(pending, idOrFolder, host, options);
  const origins: Origins = {
    host: runtime,
    graph: async (name) => graphs.get(name)!,
    options: (name) => {
      // Cached keys and values on the device are read back by what stands between: leave them where they are wanted.
      const { preferredOutputLocation, externalData: _, ...settings } = pending[name]!.options;
      return {
        ...settings,
        ...(!inNode() && preferredOutputLocation ? { preferredOutputLocation } : {}),
        ...options.session_options,
      };
    },
  };
  for (const [name, { source, config, options: settings }] of Object.entries(pending)) {
    if (name === hooked) continue;
    model.sessions[name] = Object.assign(await created(runtime, source, settings), { config });
    letGo(graphs.get(name));
  }
  return attach(model, hooked, origins, options);
}

/** By session: a path in Node, in a browser what transformers.js loaded. */
function graphsOf(
  pending: Readonly<Record<string, PendingSession>>,
  id: string,
  { env }: Host,
  { subfolder = 'onnx', revision = 'main' }: LoadOptions,
): ReadonlyMap<string, GraphOrigin> {
  const place = { id, revision, env };
  const graphs = Object.entries(pending).map(([name, { source, options }]) => {
    const loaded = typeof source !== 'string' && !inNode();
    return [
      name,
      loaded ? loadedGraph(place, subfolder, name, source, options.externalData) : source,
    ] as const;
  });
  return new Map(graphs);
}

/** @throws AttuneError SESSION_FAILED with ONNX Runtime's words */
async function created(host: Runtime, source: string | Uint8Array, options: object): Promise<OrtSession> {
  try {
    return await alone(host, () => host.InferenceSession.create(source, options));
  } catch (cause) {
    const at = typeof source === 'string' ? source : 'bytes';
    const large = tooLarge(cause, at);
    if (large) throw large;
    throw new AttuneError('SESSION_FAILED', {
      at,
      found: (cause as Error).message,
      hint: 'The file is loaded as it is, without edits. Check that the download is complete and that the device can run it.',
      cause,
    });
  }
}
