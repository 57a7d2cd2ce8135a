/** What browsers and ONNX Runtime say where the memory for a model cannot be had, as one error. */
import { AttuneError } from '../../errors.ts';

const SAID =
  /allocation failed|invalid (typed )?array (buffer )?length|out of memory|bad_alloc|cannot enlarge memory|memory\.grow/i;

/** MODEL_TOO_LARGE, where that is what `cause` says. */
export function tooLarge(cause: unknown, at: string): AttuneError | undefined {
  const { message } = (cause ?? {}) as { readonly message?: unknown };
  if (typeof message !== 'string' || !SAID.test(message)) return undefined;
  return new AttuneError('MODEL_TOO_LARGE', {
    at,
    found: message,
    expected: 'a model that fits: wasm has 4 GB for all it holds, a page often less for one file',
    hint: "Take a smaller number type, such as dtype: 'q4', or a smaller model.",
    cause,
  });
}
