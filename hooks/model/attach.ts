/**
 * transformers.js models with attune behind their sessions. The model object stays what it was: `generate`,
 * pipelines and streamers work as before, because only the sessions it holds are exchanged, which its public
 * constructor takes and its public property `sessions` exposes.
 */
import { AttuneError } from '../../errors.ts';
import { type HeldSource, openModel } from '../../onnx/index.ts';
import { chooseRuntime, type OrtSession, providersOf, type Runtime } from '../session/index.ts';
import type { NativeMethods } from './call.ts';
import { imageToken } from './check-inputs.ts';
import { ContrastStreams } from './decoding/index.ts';
import { type ModelFacts, modelFacts } from './facts.ts';
import { FileIdentity } from './file-identity.ts';
import { ListeningEncoder } from './listening-encoder.ts';
import { LiveSession } from './live-session.ts';
import { type AttunedModel, attachTo } from './model.ts';
import type { AttachOptions } from './options.ts';
import { RequestTracker } from './request.ts';
import { ViewScope } from './scope.ts';
import { asInterventions } from './specification.ts';
import { Stack } from './stack.ts';

/** The part of a transformers.js model that attune relies on. */
export interface TransformersModel {
  /** Sessions by the names of their graphs; the hooked one is exchanged. */
  // biome-ignore lint/suspicious/noExplicitAny: transformers.js types its sessions and configuration so
  sessions: Record<string, any>;
  /** config.json of the model. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  config: any;
  /** Releases the sessions. */
  dispose(): Promise<unknown>;
}

/** The static side: AutoModelForCausalLM, LlavaForConditionalGeneration, … */
export interface TransformersModelClass<M> {
  /** Loads a model by Hub id or folder. */
  from_pretrained(idOrFolder: string, options?: object): Promise<M>;
}

/** A session of transformers.js, which notes on it what it chose. */
export type PlainSession = OrtSession & { config?: { dtype?: string; device?: string } };

/** Path, bytes or source of a graph. */
export type GraphOrigin = string | Uint8Array | HeldSource;

/** What is in memory need not stay there. */
export function letGo(origin: GraphOrigin | undefined): void {
  if (typeof origin === 'object' && 'letGo' in origin) origin.letGo();
}

/** What the graphs behind a model's sessions are, and how sessions of them are made. */
export interface Origins {
  readonly host: Runtime;
  graph(session: string): Promise<GraphOrigin>;
  /** Options for InferenceSession.create. */
  options(session: string): Readonly<Record<string, unknown>>;
}

/** @throws AttuneError SESSION_UNKNOWN */
export function hookedName({ sessions }: TransformersModel, asked: string | undefined): string {
  const name = asked ?? ('decoder_model_merged' in sessions ? 'decoder_model_merged' : 'model');
  if (sessions[name]) return name;
  throw new AttuneError('SESSION_UNKNOWN', {
    found: `session "${name}"`,
    expected: Object.keys(sessions).join(', '),
    hint: 'Name the session to hook with the option "session".',
  });
}

/** Put a live session behind the model in place of the hooked one, which is given up once the graph is known to be edited. */
export async function attach<M extends TransformersModel>(
  model: M,
  hooked: string,
  origins: Origins,
  options: AttachOptions,
): Promise<M & AttunedModel> {
  const { host } = origins;
  const config = model.config as Record<string, unknown>;
  const interventions = asInterventions(options.interventions ?? []);
  const plain = model.sessions[hooked] as PlainSession;
  const device = plain.config?.device;
  const { runtime: asked, session_options: session } = options;
  const chosen = await chooseRuntime({ runtime: asked, device, session, host });
  const { runtime } = chosen;
  const origin = await origins.graph(hooked);
  const facts = modelFacts(await openModel(origin), config);
  const live = new LiveSession({
    facts,
    runtime,
    session: {
      host,
      kernels: options.kernels,
      // Another runtime chooses providers for itself.
      session:
        runtime === host
          ? origins.options(hooked)
          : {
              ...providersOf(chosen, device, host),
              ...(chosen.name === 'native' && !options.untouchedRuns && cachesStay(facts)),
              ...options.session_options,
            },
    },
    prepare: [...(options.prepare ?? []), ...interventions.map(({ kind }) => kind)],
    padding: options.padding ?? true,
    identity: await FileIdentity.of(facts.file),
    untouchedRuns: options.untouchedRuns,
    numLogitsToKeep: options.numLogitsToKeep,
  });
  const stack = new Stack(interventions, facts);
  live.check(stack);
  await plain.release();
  await live.start(stack);
  letGo(origin);
  live.config = plain.config;
  const encoder = model.sessions.vision_encoder as PlainSession | undefined;
  const listening =
    encoder &&
    new ListeningEncoder(encoder, {
      open: async () => openModel(await origins.graph('vision_encoder')),
      config,
      session: { host, runtime: host, session: { ...options.session_options } },
      untouchedRuns: options.untouchedRuns,
    });
  const token = imageToken(config);
  const { forward, generate } = model as unknown as NativeMethods;
  const parts = {
    model,
    native: { forward, generate },
    sessions: { decoder: hooked, live, encoder: listening, plain: { ...model.sessions } },
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
