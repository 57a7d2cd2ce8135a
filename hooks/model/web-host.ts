/**
 * The copy of transformers.js in a browser, and the ONNX Runtime inside it. Bundles have one copy, which attune finds by its name as
 * an application does. The class of its sessions is reachable from a session alone: one of a graph of a single node is made, by
 * transformers.js itself, with a fetch that answers for that one file.
 */
import type { OrtSession, Runtime } from '../session/index.ts';
import { PlainTensor } from '../session/index.ts';
import type { Host, HostEnvironment, LoadingClass } from './host-environment.ts';

interface Transformers {
  readonly env: HostEnvironment & { fetch?: HostEnvironment['fetch'] };
  readonly PreTrainedModel: LoadingClass;
}

/** undefined where the class is of another copy, or of one that cannot be asked: a model is then loaded first, and wrapped. */
export async function hostInBrowser(modelClass: LoadingClass): Promise<Host | undefined> {
  try {
    const module = (await import('@huggingface/transformers')) as unknown as Transformers;
    if (!Object.values(module).includes(modelClass)) return undefined;
    const InferenceSession = await sessionClassOf(module);
    return InferenceSession && { env: module.env, runtime: webRuntimeOf(InferenceSession) };
  } catch {
    return undefined;
  }
}

const runtimes = new WeakMap<object, Runtime>();

/** One for a class, so that what is known of it is known of all its sessions. */
export function webRuntimeOf(InferenceSession: Runtime['InferenceSession']): Runtime {
  const runtime = runtimes.get(InferenceSession) ?? {
    InferenceSession,
    Tensor: PlainTensor,
    backend: 'web' as const,
  };
  runtimes.set(InferenceSession, runtime);
  return runtime;
}

const PROBE = 'attune-asks-for-the-session-class';

/** y = Identity(x), float [1], opset 13. */
const IDENTITY = Uint8Array.from(
  atob('CAg6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCAhAN'),
  (letter) => letter.charCodeAt(0),
);

async function sessionClassOf({
  env,
  PreTrainedModel,
}: Transformers): Promise<Runtime['InferenceSession'] | undefined> {
  const { fetch } = env;
  // Before version 4 files are fetched by the browser's own fetch, which is not ours to replace.
  if (!fetch) return undefined;
  const answering: typeof fetch = async (address, init) =>
    String(address).includes(PROBE) ? answer() : fetch.call(env, address, init);
  env.fetch = answering;
  try {
    const config = { model_type: 'custom', 'transformers.js_config': {} };
    const options = { config, dtype: 'fp32', device: 'wasm' };
    const model = (await PreTrainedModel.from_pretrained(PROBE, options)) as {
      readonly sessions: Readonly<Record<string, OrtSession>>;
      dispose(): Promise<unknown>;
    };
    const [session] = Object.values(model.sessions);
    await model.dispose();
    return session?.constructor as unknown as Runtime['InferenceSession'];
  } finally {
    // Whoever replaced it meanwhile keeps it; ours lets everything else through.
    if (env.fetch === answering) env.fetch = fetch;
  }
}

/** Not a Response, so that it is not put into a cache. */
const answer = (): Response =>
  ({
    ok: true,
    status: 200,
    headers: new Headers(),
    arrayBuffer: async () => IDENTITY.buffer,
  }) as unknown as Response;
