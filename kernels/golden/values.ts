/** Values of golden files as zod schemas: `{shape, data}` tensors and the bare nested arrays of the third layout. */
import { z } from 'zod';
import { type Tensor, tensor } from '../reference/tensor.ts';

type Nested = number | boolean | null | readonly Nested[];

const nested: z.ZodType<Nested> = z.lazy(() => z.union([z.number(), z.boolean(), z.null(), z.array(nested)]));

/** null stands for an undefined entry (NaN), or ln 0 in a log-bias. */
function flatten(value: Nested, into: number[]): number[] {
  if (Array.isArray(value)) for (const item of value) flatten(item, into);
  else into.push(value === null ? Number.NaN : Number(value));
  return into;
}

/** The shape nested arrays imply, or a sentence about where they are ragged. */
function shapeOf(value: Nested): number[] | string {
  if (!Array.isArray(value)) return [];
  const shapes = value.map(shapeOf);
  const ragged = shapes.find((shape) => typeof shape === 'string');
  if (typeof ragged === 'string') return ragged;
  if (new Set(shapes.map(String)).size > 1) return 'rows differ in length';
  return [value.length, ...((shapes[0] as number[] | undefined) ?? [])];
}

function toTensor(data: Nested, context: z.RefinementCtx, declared?: readonly number[]): Tensor {
  const found = shapeOf(data);
  const issue = (message: string) => {
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  };
  if (typeof found === 'string') return issue(found);
  const empty = declared?.includes(0) && found.includes(0);
  if (declared && !empty && String(declared) !== String(found)) {
    return issue(`data has shape [${found.join(', ')}] but declares [${declared.join(', ')}]`);
  }
  return tensor(declared ?? found, flatten(data, []));
}

/** `{shape, data, dtype?}`. */
export const shaped = z
  .object({ shape: z.array(z.int().min(0)), dtype: z.enum(['f64', 'i64', 'bool']).optional(), data: nested })
  .transform(({ shape, data }, context) => toTensor(data, context, shape));

/** A nested array whose shape is what it is. */
export const array = nested.transform((data, context) => toTensor(data, context));

export const integers = z.array(z.int());

/** A half-open range of token positions. */
export const span = z.tuple([z.int(), z.int()]);
