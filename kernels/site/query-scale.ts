/**
 * Multiply the queries of a site head by head, which multiplies the logits q·k before mask and bias: 1/τ is a
 * temperature, 0 makes every row uniform over its visible keys. A factor of 1 is exact. The factor goes in where
 * the queries are whole: before a scale that runtimes fold into the product, or at the operand of a fused operator.
 */
import { AttuneError } from '../../errors.ts';
import type { Emit } from '../../onnx/emitter.ts';
import type { Place, Site } from '../../sites/site.ts';
import { fromBSHD, type HeadShape, toBSHD } from './layout.ts';

/**
 * Where the queries of a site can be multiplied, and heads and head size there: of a packed projection all heads.
 * @throws AttuneError INTERVENTION_REFUSED with the reason
 */
export function queryPlace(site: Site): Place & HeadShape {
  const { numHeads: H, kvHeads: K, headDim: D, anchor, q } = site;
  const refuse = (found: string, hint: string) =>
    new AttuneError('INTERVENTION_REFUSED', { at: anchor.name || anchor.opType, found, hint });
  const own = { heads: H, dim: D, batchOf: q.heads?.layout === 'BHSD' ? q.heads.value : undefined };
  if (!site.fused) {
    if (q.final) return { ...q.final, ...own };
    throw refuse('no value that carries the queries', 'Please report this export with `attune inspect`.');
  }
  if (site.projectsInside) {
    throw refuse(
      'queries inside com.microsoft.Attention, whose projection is part of the operator',
      'Use an unfused export, or one with MultiHeadAttention or GroupQueryAttention.',
    );
  }
  if (site.packedQkv) return { value: anchor.inputs[0]!, layout: 'BS(HD)', heads: H + 2 * K, dim: D };
  if (!q.operand) throw refuse('q, k and v in one tensor', 'Use an export with separate q, k and v.');
  return { ...q.operand, ...own };
}

/**
 * A bias that MultiHeadAttention adds to q, k and v itself (input 3, [2HD + HE]), added to the queries before they
 * are scaled. Done again it adds zeros.
 */
export function takeOutBias(e: Emit, { numHeads, headDim }: Site, query: string, bias: string) {
  const width = numHeads * headDim;
  const end = e.ints(Number.MAX_SAFE_INTEGER);
  const own = e.slice(bias, 0, e.ints(0), e.ints(width));
  const zeros = e.op('Sub', [own, own], 'no_bias');
  const rest = e.op('Concat', [zeros, e.slice(bias, 0, e.ints(width), end)], 'kv_bias', { axis: 0 });
  return { query: e.op('Add', [query, own], 'biased_q'), bias: rest };
}

/**
 * @param value what stands at the place now
 * @param factor float32 [settings, H | 1], with one setting or one for each row
 * @returns the product, in the layout of the place
 */
export function scaleQueries(e: Emit, site: Site, value: string, factor: string): string {
  const place = { ...queryPlace(site), value };
  const typed = site.elemType === undefined || site.elemType === 1 ? factor : e.cast(factor, site.elemType);
  const all = place.heads === site.numHeads ? typed : withOnes(e, site, typed, place.heads);
  if (place.layout === 'BHSD' || place.layout === 'BHDS') {
    return e.op('Mul', [value, e.reshape(all, [0, -1, 1, 1])], 'scaled_q');
  }
  const scaled = e.op('Mul', [toBSHD(e, place, place), e.reshape(all, [0, 1, -1, 1])], 'scaled_q');
  return fromBSHD(e, scaled, place, place);
}

/** Ones for the keys and values that share the tensor: [settings, H + 2K]. */
function withOnes(e: Emit, site: Site, factor: string, heads: number): string {
  const queries = e.op('Expand', [factor, e.ints(1, site.numHeads)], 'factors');
  const rest = e.shape([{ of: factor, axis: 0 }, heads - site.numHeads]);
  const ones = e.op('Expand', [e.scalar(1, site.elemType), rest], 'ones');
  return e.op('Concat', [queries, ones], 'with_ones', { axis: 1 });
}
