/** Which execution provider a session will run on, as far as its options say. */
import { isWeb, type Runtime } from './runtime.ts';

/**
 * The first provider asked for; without any, the runtime's own: cpu for onnxruntime-node, wasm for onnxruntime-web.
 * @param options those of InferenceSession.create
 */
export function executionProviderOf(
  runtime: Runtime,
  { executionProviders }: Readonly<Record<string, unknown>> = {},
): string {
  const [first] = Array.isArray(executionProviders) ? (executionProviders as unknown[]) : [];
  if (typeof first === 'string') return first;
  const name = (first as { name?: unknown } | undefined)?.name;
  if (typeof name === 'string') return name;
  return isWeb(runtime) ? 'wasm' : 'cpu';
}
