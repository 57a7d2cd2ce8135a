/** JSON of a known form: anything else is an error that says where and what. */
import type { z } from 'zod';
import { prettifyError } from 'zod';
import { AttuneError, type ErrorDetails } from '../errors.ts';

/**
 * @param error its code, and what is expected at which place
 * @throws AttuneError of that code, where the text is no JSON or of another form
 */
export function checkedJson<S extends z.ZodType>(
  text: string,
  schema: S,
  { code, ...details }: { readonly code: string } & ErrorDetails,
): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AttuneError(code, { found: (cause as Error).message, ...details, cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AttuneError(code, { found: prettifyError(parsed.error).split('\n')[0]!, ...details });
}
