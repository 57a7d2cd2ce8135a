/**
 * What lowerings were measured to cost, as a table in this folder that `attune bench kernels --write-costs` writes: models of
 * a few layers, untouched against compiled as a live model compiles them.
 */
import { z } from 'zod';
import { LOWERINGS, type LoweringName } from '../lowerings/lowering.ts';
import type { Edit } from '../plan.ts';
import { TABLE } from './table.ts';

const row = z.strictObject({
  ep: z.string(),
  /** Whose shape the attention had. */
  shape: z.string(),
  /** What was done to it, as `workOf` says. */
  work: z.string(),
  lowering: z.enum(LOWERINGS),
  /** Rows of the call and keys with the cache. */
  S: z.int(),
  T: z.int(),
  /** Time over that of the untouched operator, median of pairs. */
  ratio: z.number(),
});
export type Cost = z.output<typeof row>;

export const costTable = z.strictObject({
  command: z.string(),
  clock: z.enum(['wall', 'cpu']),
  machine: z.record(z.string(), z.union([z.string(), z.number()])),
  rows: z.array(row),
});
export type CostTable = z.output<typeof costTable>;

/** The table of this installation. */
export const COSTS: CostTable = costTable.parse(TABLE);

/**
 * What is done inside an attention, as far as it decides what a lowering costs: 'bias', 'sink-calibration running
 * initial', … Edits
 * of queries and head outputs cost the same in all of them and are left out; '' where nothing else is done.
 */
export function workOf(edits: readonly Edit[]): string {
  const works = edits.flatMap((edit): string[] => {
    if (edit.kind === 'bias') return ['bias'];
    if (edit.kind !== 'expand') return [];
    return edit.edits.map(({ row, options }) =>
      [row.kind, ...Object.values(options)].filter(Boolean).join(' '),
    );
  });
  return [...new Set(works)].sort().join(' + ');
}

/** Mean ratios of decoding and of prompts, each call counting the same; NaN where there is none of the kind. */
export interface Ratios {
  readonly decode: number;
  readonly prefill: number;
}

/** @returns undefined where nothing was measured */
export function ratiosOf(
  { rows }: CostTable,
  { ep, work, lowering }: { readonly ep: string; readonly work: string; readonly lowering: LoweringName },
): Ratios | undefined {
  const own = rows.filter((one) => one.ep === ep && one.work === work && one.lowering === lowering);
  if (own.length === 0) return undefined;
  const mean = (calls: readonly Cost[]) =>
    Math.exp(calls.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / calls.length);
  return { decode: mean(own.filter(({ S }) => S === 1)), prefill: mean(own.filter(({ S }) => S > 1)) };
}
