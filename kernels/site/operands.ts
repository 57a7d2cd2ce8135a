/**
 * What a fused attention operator reads, as the expanded lowering takes it: q, k, v of this call by head, the cache
 * before it, and everything that is added to the logits as one bias.
 */
import { AttuneError } from '../../errors.ts';
import { type Emit, emitter } from '../../onnx/emitter.ts';
import { DataType, intAttribute } from '../../onnx/index.ts';
import type { AttentionOperator, Site } from '../../sites/site.ts';
import type { ExpandedSite, HeadValue } from '../lowerings/expanded.ts';
import { openGroupQueryAttention } from '../lowerings/group-query-attention.ts';
import { type Lowered, lowered } from '../lowerings/lowered.ts';

/** A site by its operands; `name`, `present` and `z` are the lowering's to give. */
export interface Operands {
  readonly opening: Lowered;
  readonly site: Omit<ExpandedSite, 'name' | 'present' | 'z'>;
  readonly zLayout: HeadValue['layout'];
}

export interface OperandOptions {
  /** Prefix of what is emitted. */
  readonly name: string;
  readonly opset: number;
  /** [B, T], 0 at padding. */
  readonly keys: string | undefined;
  /** [B, S] int64, where an operator that rotates stands; default: counted from its own lengths. */
  readonly positions?: string | undefined;
}

/**
 * @param site with the operator's inputs as they are after all other edits
 * @throws AttuneError LOWERING_LACKS_OPERATOR
 */
export function operandsOf(site: Site, options: OperandOptions): Operands {
  const operands = site.operator && OPERANDS[site.operator];
  if (operands) return operands(site, options);
  throw lacks(site, `${site.anchor.opType} with its projections inside`);
}

const OPERANDS: Partial<Record<AttentionOperator, (site: Site, options: OperandOptions) => Operands>> = {
  'com.microsoft.GroupQueryAttention': groupQuery,
  'com.microsoft.MultiHeadAttention': multiHead,
  Attention: standard,
};

/** S of a fused site, int64 [1]. */
export function rowsOf(emit: Emit, site: Site): string {
  return emit.dim(site.anchor.inputs[0]!, queryLayout(site) === 'BNSD' ? 2 : 1);
}

/** Only ai.onnx Attention takes queries head first: without a number of heads, which then has an axis. */
function queryLayout({ operator, anchor }: Site): HeadValue['layout'] {
  return operator === 'Attention' && intAttribute(anchor, 'q_num_heads', 0) === 0 ? 'BNSD' : 'BS(ND)';
}

function groupQuery({ anchor: node, headDim: D, ...site }: Site, options: OperandOptions): Operands {
  const elemType = site.elemType ?? DataType.FLOAT;
  const opened = openGroupQueryAttention({ ...options, elemType, node, D, rotaryDim: site.rotary?.dim });
  return { ...opened, zLayout: 'BS(ND)' };
}

/** com.microsoft.MultiHeadAttention. */
function multiHead(site: Site, options: OperandOptions): Operands {
  const { anchor: node, numHeads: H, headDim: D } = site;
  const [query, key, value, inner, padding, bias, pastK, pastV, ...more] = node.inputs;
  if (!key || !value) throw lacks(site, 'q, k and v in one tensor');
  if (padding) throw lacks(site, 'a key_padding_mask');
  if (more.some(Boolean)) throw lacks(site, 'a cache shared with beam search');
  const emit = emitter(options.opset, `${options.name}.open.`);
  const ends = [0, H * D, 2 * H * D, Number.MAX_SAFE_INTEGER];
  const [q, k, v] = [query!, key, value].map((operand, i) => {
    if (!inner) return operand;
    return emit('Add', [operand, emit.slice(inner, 0, emit.ints(ends[i]!), emit.ints(ends[i + 1]!))]);
  }) as [string, string, string];
  const layout = site.k.operand?.layout === 'BHSD' ? 'BNSD' : 'BS(ND)';
  return {
    opening: lowered(emit),
    site: {
      ...shared(site, options),
      K: H,
      q: { value: q, layout: 'BS(ND)' },
      k: { value: k, layout },
      v: { value: v, layout },
      past: pastK && pastV ? { k: pastK, v: pastV } : undefined,
      bias: bias && bounded(emit, bias),
    },
    zLayout: 'BS(ND)',
  };
}

/** ai.onnx Attention. */
function standard(site: Site, options: OperandOptions): Operands {
  const { anchor: node, numHeads: H, kvHeads: K } = site;
  const [q, k, v, mask, pastK, pastV, lengths] = node.inputs;
  if (lengths) throw lacks(site, 'nonpad_kv_seqlen');
  if (node.outputs[3]) throw lacks(site, 'its own scores as an output');
  const layout = queryLayout(site);
  const emit = emitter(options.opset, `${options.name}.open.`);
  return {
    opening: lowered(emit),
    site: {
      ...shared(site, options),
      // Keys that the graph repeated reach the operator with H heads.
      K: site.k.repeated ? H : K,
      q: { value: q!, layout },
      k: { value: k!, layout },
      v: { value: v!, layout },
      past: pastK && pastV ? { k: pastK, v: pastV } : undefined,
      bias: mask && everyRow(emit, additive(emit, site, mask), { value: q!, layout }),
    },
    zLayout: layout,
  };
}

function shared(site: Site, { opset, keys }: OperandOptions) {
  return {
    opset,
    elemType: site.elemType ?? DataType.FLOAT,
    H: site.numHeads,
    D: site.headDim,
    scale: site.scale,
    softcap: site.softcap,
    causal: site.causal === true,
    window: site.window,
    headSink: site.headSink,
    keys,
  };
}

/** -inf, and the lowest float, would turn rows that see nothing into NaN once added to another mask. */
const LOWEST = -1e30;

/** float32. */
function bounded(emit: Emit, bias: string): string {
  return emit('Max', [emit('Cast', [bias], { to: DataType.FLOAT }), emit.float(LOWEST)]);
}

function additive(emit: Emit, site: Site, mask: string): string {
  const boolean = site.masks.some(({ value, kind }) => value === mask && kind === 'select');
  return boolean ? emit('Where', [mask, emit.float(0), emit.float(LOWEST)]) : bounded(emit, mask);
}

/** [B|1, H|1, S, T] from what broadcasts to it. */
function everyRow(emit: Emit, bias: string, q: HeadValue): string {
  const S = emit.dim(q.value, q.layout === 'BNSD' ? 2 : 1);
  return emit('Expand', [bias, emit('Concat', [emit.ints(1, 1), S, emit.ints(1)], { axis: 0 })]);
}

function lacks(site: Site, found: string): AttuneError {
  return new AttuneError('LOWERING_LACKS_OPERATOR', {
    at: site.anchor.name || site.anchor.opType,
    found,
    expected: 'a form the expanded lowering knows',
    hint: 'An export with separate q, k and v, or an unfused one, will do.',
  });
}
