/**
 * transformers.js models with attune behind their sessions. The model object stays what it was: `generate`,
 * pipelines and streamers work as before, because only the sessions it holds are exchanged, which its public
 * constructor takes and its public property `sessions` exposes.
 */
import { AttuneError } from '../../errors.ts';
import { openModel } from '../../onnx/index.ts';
import type { KernelOptions } from '../compile/index.ts';
import {
  chooseRuntime,
  inNode,
  loadRuntime,
  type OrtSession,
  providersOf,
  type Runtime,
  type RuntimeName,
} from '../session/index.ts';
import type { NativeMethods } from './call.ts';
import { ContrastStreams } from './decoding/index.ts';
import { type ModelFacts, modelFacts } from './facts.ts';
import { FileIdentity } from './file-identity.ts';
import { graphOfSession } from './files.ts';
import type { Intervention, InterventionKind } from './intervention.ts';
import { ListeningEncoder } from './listening-encoder.ts';
import { LiveSession, type UntouchedRuns } from './live-session.ts';
import { type AttunedModel, attachTo } from './model.ts';
import { RequestTracker } from './request.ts';
import { ViewScope } from './scope.ts';
import { Stack } from './stack.ts';

/** The part of a transformers.js model that attune relies on. */
export interface TransformersModel {
  // biome-ignore lint/suspicious/noExplicitAny: transformers.js types its sessions and configuration so
  sessions: Record<string, any>;
  // biome-ignore lint/suspicious/noExplicitAny: see above
  config: any;
  dispose(): Promise<unknown>;
}

/** The static side: AutoModelForCausalLM, LlavaForConditionalGeneration, … */
export interface TransformersModelClass<M> {
  from_pretrained(idOrFolder: string, options?: object): Promise<M>;
}

export interface AttachOptions {
  /** In force from the start. */
  readonly interventions?: readonly Intervention[];
  /** Kinds to compile in so that switching to them later builds nothing; default: those of `interventions`. */
  readonly prepare?: readonly InterventionKind[];
  /** Correct left padding on GroupQueryAttention exports, from the first padded batch on; default true. */
  readonly padding?: boolean;
  /** Session to hook; default `decoder_model_merged`, else `model`. */
  readonly session?: string;
  /**
   * What runs the hooked session: 'native' (attune's addon, caches in native memory), 'onnxruntime' (onnxruntime-node), 'wasm'
   * (onnxruntime-web), or a runtime of your own. Default: native in Node where the addon was built, else onnxruntime;
   * `model.attune.runtime` says which, and why.
   */
  readonly runtime?: RuntimeName | Runtime;
  /**
   * How attention is computed: which lowering, and how many bytes of scores attention that is written out may hold at a
   * time. Default: the lowering measured cheapest (kernels/costs), 16 MiB.
   */
  readonly kernels?: KernelOptions;
  /**
   * Give exports that lack it the input num_logits_to_keep, int64 [], which recent exports have: transformers.js then asks for
   * the last position's logits while it generates, and for all of them (0) otherwise. Prompts take less time and memory; logits
   * may differ in their last bits from those of all positions together. Default false.
   */
  readonly numLogitsToKeep?: boolean;
  /** Stands around runs that nothing changes, for those who remember what came of them. */
  readonly untouchedRuns?: UntouchedRuns;
  /** Passed to InferenceSession.create. */
  readonly session_options?: Readonly<Record<string, unknown>>;
  readonly subfolder?: string;
  readonly revision?: string;
  readonly cache_dir?: string | null;
  readonly model_file_name?: string | null;
}

/** Session options under which loading the graph that is about to be exchanged costs least. */
const THROWAWAY = {
  graphOptimizationLevel: 'disabled',
  enableMemPattern: false,
  extra: { session: { disable_prepacking: '1' } },
} as const;

/**
 * Load a model with attune behind its sessions.
 *
 * @param modelClass a transformers.js class, such as AutoModelForCausalLM
 * @param idOrFolder Hub id (its cache is honoured) or folder in Hub layout
 * @param options those of transformers.js (dtype, device, …) and AttachOptions
 * @throws AttuneError GRAPH_NOT_FOUND, NO_ATTENTION, INTERVENTION_*, SESSION_FAILED
 */
export async function from_pretrained<M extends TransformersModel>(
  modelClass: TransformersModelClass<M>,
  idOrFolder: string,
  options: AttachOptions & Readonly<Record<string, unknown>> = {},
): Promise<M & AttunedModel> {
  const {
    interventions,
    prepare,
    padding,
    session,
    runtime,
    kernels,
    untouchedRuns,
    numLogitsToKeep,
    session_options,
    ...transformers
  } = options;
  const model = await modelClass.from_pretrained(idOrFolder, {
    ...transformers,
    session_options: THROWAWAY,
  });
  try {
    return await wrap(model, idOrFolder, { ...options, reload: true });
  } catch (error) {
    // What went wrong matters more than that some sessions may be gone already.
    await model.dispose().catch(() => undefined);
    throw error;
  }
}

/**
 * Put attune behind a model that is loaded already. The hooked session is made anew from the file it came from.
 *
 * @param idOrFolder what the model was loaded from
 */
export async function wrap<M extends TransformersModel>(
  model: M,
  idOrFolder: string,
  options: AttachOptions & { readonly reload?: boolean } = {},
): Promise<M & AttunedModel> {
  if (!inNode()) {
    throw new AttuneError('BROWSER_NOT_BUILT', {
      found: 'wrapping by folder in a browser',
      hint: 'Open the graph as bytes with attune/onnx and make a session with attune/hooks createSession.',
    });
  }
  const name =
    options.session ?? ('decoder_model_merged' in model.sessions ? 'decoder_model_merged' : 'model');
  const plain = model.sessions[name] as
    | (OrtSession & { config?: { dtype?: string; device?: string } })
    | undefined;
  if (!plain) {
    throw new AttuneError('SESSION_UNKNOWN', {
      found: `session "${name}"`,
      expected: Object.keys(model.sessions).join(', '),
    });
  }
  const { env } = await import('@huggingface/transformers');
  const files = {
    subfolder: options.subfolder ?? 'onnx',
    revision: options.revision ?? 'main',
    cacheDir: options.cache_dir ?? env.cacheDir ?? null,
    localModelPath: env.localModelPath,
    modelFileName: options.model_file_name ?? null,
  };
  const host = await hostRuntime();
  const device = plain.config?.device;
  const chosen = await chooseRuntime({ runtime: options.runtime, device, session: options.session_options });
  const { runtime } = chosen;
  const path = await graphOfSession(idOrFolder, name, plain.config?.dtype ?? 'fp32', files);
  const facts = modelFacts(await openModel(path), model.config as Record<string, unknown>);
  const live = new LiveSession({
    facts,
    runtime,
    session: {
      host,
      kernels: options.kernels,
      session: {
        ...providersOf(chosen, device, host),
        ...(chosen.name === 'native' && !options.untouchedRuns && cachesStay(facts)),
        ...options.session_options,
      },
    },
    prepare: [...(options.prepare ?? []), ...(options.interventions ?? []).map(({ kind }) => kind)],
    padding: options.padding ?? true,
    identity: await FileIdentity.of(facts.file),
    untouchedRuns: options.untouchedRuns,
    numLogitsToKeep: options.numLogitsToKeep,
  });
  const stack = new Stack(options.interventions ?? [], facts);
  live.check(stack);
  await plain.release();
  await live.start(stack);
  live.config = plain.config;
  if (options.reload) await reloadOthers(model, name, idOrFolder, files, host, options.session_options);
  const encoder = model.sessions.vision_encoder as (OrtSession & { config?: { dtype?: string } }) | undefined;
  const dtype = encoder?.config?.dtype ?? 'fp32';
  const listening =
    encoder &&
    new ListeningEncoder(encoder, {
      open: async () => openModel(await graphOfSession(idOrFolder, 'vision_encoder', dtype, files)),
      config: model.config as Record<string, unknown>,
      session: { host, runtime: host, session: { ...options.session_options } },
      untouchedRuns: options.untouchedRuns,
    });
  const token = imageToken(model.config as Record<string, unknown>);
  const { forward, generate } = model as unknown as NativeMethods;
  const parts = {
    model,
    native: { forward, generate },
    sessions: { decoder: name, live, encoder: listening, plain: { ...model.sessions } },
    facts,
    runtime: chosen,
    streams: new ContrastStreams(token),
    checked: {
      config: facts.config,
      declared: new Map(facts.file.model.graph.inputs.map((input) => [input.name, input])),
      imageToken: token,
    },
  };
  return attachTo(parts, new ViewScope(stack, new RequestTracker(token)));
}

/**
 * Caches stay in native memory, as transformers.js has them stay on a GPU. Not where outputs are remembered: transformers.js
 * disposes of a cache once it has a newer one.
 */
function cachesStay({ file }: ModelFacts): object {
  const names = file.model.graph.outputs.map(({ name }) => name).filter((name) => name.startsWith('present'));
  return { preferredOutputLocation: Object.fromEntries(names.map((name) => [name, 'gpu-buffer'])) };
}

/** The runtime transformers.js uses in Node, whose tensors it expects. */
async function hostRuntime(): Promise<Runtime> {
  return loadRuntime('node');
}

/** Sessions that attune does not hook were loaded without optimisation; make them properly. */
async function reloadOthers(
  model: TransformersModel,
  hooked: string,
  idOrFolder: string,
  files: Parameters<typeof graphOfSession>[3],
  host: Runtime,
  options: Readonly<Record<string, unknown>> | undefined,
): Promise<void> {
  const { InferenceSession } = host as unknown as {
    InferenceSession: { create(path: string, options?: object): Promise<OrtSession> };
  };
  for (const [name, session] of Object.entries(model.sessions)) {
    if (name === hooked) continue;
    const plain = session as OrtSession & { config?: { dtype?: string } };
    const path = await graphOfSession(idOrFolder, name, plain.config?.dtype ?? 'fp32', files);
    const fresh = Object.assign(await InferenceSession.create(path, { ...options }), {
      config: plain.config,
    });
    await plain.release();
    model.sessions[name] = fresh;
  }
}

/** Token that stands for image features; transformers spells it in two ways. */
function imageToken(config: Readonly<Record<string, unknown>>): number | undefined {
  const token = config.image_token_id ?? config.image_token_index;
  return typeof token === 'number' ? token : undefined;
}
