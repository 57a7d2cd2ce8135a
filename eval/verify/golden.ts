/**
 * End-to-end golden files: what one model does to a few prompts, computed in float64, family by family
 * (`plain`, `zerotuning`, …). This reads what all families share; each family reads its own cases (families/).
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';

export const ids = z.array(z.int().nonnegative());

/** A tensor as the files have it, with nested data. */
export const tensor = <T extends z.ZodType>(data: T) => z.object({ shape: z.array(z.int()), data });
export const vector = z.array(z.number());
export const matrix = z.array(vector);

/** New tokens; at and after the first fragile index two logits are too close for float32 to choose. */
export const greedy = z.object({ ids, fragile: z.array(z.int().nonnegative()) });
export type Greedy = z.output<typeof greedy>;

const headList = z.array(z.tuple([z.int(), z.int()]));

const shared = z.looseObject({
  header: z.looseObject({
    format: z.literal(1),
    model: z.looseObject({ head_dim: z.int().positive(), bos: z.int() }),
    tolerance: z.looseObject({ float32: z.record(z.string(), z.looseObject({ suggested: z.number() })) }),
  }),
  prompts: z.record(z.string(), z.looseObject({ text: z.string(), ids })),
  settings: z.looseObject({
    gamma_tables: z.record(z.string(), tensor(matrix)),
    // Files without the method leave it out.
    act_heads: headList.default([]),
    scale_heads: headList,
    ablate_heads: headList,
  }),
});

export type Golden = z.output<typeof shared>;

const NOT_FAMILIES = new Set(['header', 'prompts', 'settings']);

/** @throws AttuneError GOLDEN_NOT_FOUND, GOLDEN_MALFORMED */
export function readEndToEnd(path: string): Golden {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AttuneError('GOLDEN_NOT_FOUND', { at: path, found: (cause as Error).message, cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AttuneError('GOLDEN_MALFORMED', { at: path, found: (cause as Error).message, cause });
  }
  return fitGolden(shared, json, path);
}

export function familiesOf(golden: Golden): string[] {
  return Object.keys(golden).filter((key) => !NOT_FAMILIES.has(key));
}

/** @throws AttuneError GOLDEN_MALFORMED naming the place */
export function fitGolden<S extends z.ZodType>(schema: S, value: unknown, at: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new AttuneError('GOLDEN_MALFORMED', {
    at: [at, ...(issue?.path ?? [])].join('.'),
    found: issue?.message,
    expected: 'a file in the layout of generate_stories.py, format 1',
    cause: result.error,
  });
}
