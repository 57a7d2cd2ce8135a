/**
 * Which lowering a site takes: the one measured cheapest for what is done to it, on its execution provider. The measurements
 * are a table in this folder, written by `attune bench kernels --write-costs`; a choice can be forced instead.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { TABLE } from './table.ts';

/**
 * 'fused': the operator stays, one call. 'fused-blocks': it stays and takes long prompts in blocks of rows
 * (row-blocks.ts). 'expanded': MatMul, Softmax, MatMul in blocks (expanded.ts).
 */
export const LOWERING_CHOICES = ['fused', 'fused-blocks', 'expanded'] as const;
export type LoweringChoice = (typeof LOWERING_CHOICES)[number];

/** What is done to a site, as far as it decides what can do it. */
export const METHODS = [
  'headScale',
  'logWeights',
  'logWeights per head',
  'act running',
  'act frozen',
  'var',
] as const;
export type Method = (typeof METHODS)[number];

const row = z.strictObject({
  ep: z.string(),
  /** Whose shape the attention had. */
  shape: z.string(),
  method: z.enum(METHODS),
  lowering: z.enum(LOWERING_CHOICES),
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

export interface Choice {
  readonly lowering: LoweringChoice;
  /** A sentence for `attune inspect`. */
  readonly why: string;
  /** Mean ratio to the untouched operator by lowering, where measured: decoding, and prompts. */
  readonly measured: readonly {
    readonly lowering: LoweringChoice;
    readonly decode: number;
    readonly prefill: number;
  }[];
}

export interface ChoiceQuery {
  /** As ONNX Runtime calls it. */
  readonly ep: string;
  readonly method: Method;
  /** Lowerings that can express the method at the site, the safest first: taken where nothing was measured. */
  readonly candidates: readonly LoweringChoice[];
  /** Overrides the table; must be among the candidates. */
  readonly forced?: LoweringChoice | undefined;
}

/**
 * What the expanded form is charged beyond the table, where the operator could stay. Sites measured alone flatter it: decoding
 * a whole model under ZeroTuning with it took 1.04 to 1.06 of the untouched one, where the table says 0.7 to 1.0; the operator kept
 * 0.98 to 1.01. At 1.25 a table measured on a busy machine had it chosen (docs/performance.md).
 */
const EXPANDED_SURCHARGE = 1.5;

/**
 * The candidate with the smallest geometric mean of its ratios over all measured calls, decoding and prompts counting
 * the same; the expanded form only if it is cheaper by a third.
 *
 * @throws AttuneError LOWERING_UNAVAILABLE for a forced lowering that the site or the provider does not have
 */
export function chooseLowering(
  { ep, method, candidates, forced }: ChoiceQuery,
  { rows }: CostTable = COSTS,
): Choice {
  if (forced !== undefined && !candidates.includes(forced)) {
    throw new AttuneError('LOWERING_UNAVAILABLE', {
      found: `lowering '${forced}' for ${method} on ${ep}`,
      expected: candidates.join(' or '),
    });
  }
  const measured = candidates.flatMap((lowering) => {
    const own = rows.filter((one) => one.ep === ep && one.method === method && one.lowering === lowering);
    const mean = (calls: readonly Cost[]) =>
      Math.exp(calls.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / calls.length);
    const [decode, prefill] = [own.filter(({ S }) => S === 1), own.filter(({ S }) => S > 1)].map(mean);
    return own.length > 0 ? [{ lowering, decode: decode!, prefill: prefill! }] : [];
  });
  const cost = ({ lowering, decode, prefill }: Choice['measured'][number]) =>
    (lowering === 'expanded' ? EXPANDED_SURCHARGE : 1) *
    (Number.isNaN(decode) ? 1 : decode) *
    (Number.isNaN(prefill) ? 1 : prefill);
  const best = [...measured].sort((a, b) => cost(a) - cost(b))[0];
  if (forced !== undefined) return { lowering: forced, why: 'as asked for', measured };
  if (candidates.length === 1) return { lowering: candidates[0]!, why: 'the only one that can', measured };
  if (!best) return { lowering: candidates[0]!, why: `nothing was measured on ${ep}`, measured };
  return { lowering: best.lowering, why: `measured cheapest on ${ep}`, measured };
}

/** Providers whose GroupQueryAttention takes several rows and a cache, and was found to give the same. */
const BLOCKWISE: readonly string[] = ['cpu', 'wasm'];

/** Lowerings that can express a method at a site, the safest first. */
export function candidatesFor(
  method: Method,
  { ep, groupQuery, fused }: { readonly ep: string; readonly groupQuery: boolean; readonly fused: boolean },
): LoweringChoice[] {
  if (!fused) return ['expanded'];
  if (method === 'headScale') return ['fused', 'expanded'];
  if (method !== 'logWeights' && method !== 'logWeights per head') return ['expanded'];
  return groupQuery && BLOCKWISE.includes(ep) ? ['fused', 'fused-blocks', 'expanded'] : ['fused', 'expanded'];
}
