/**
 * Scores and pattern of a fused attention operator, computed beside it from the operator's own inputs. The
 * operator and its output are untouched, so the model's logits stay bit-identical while its pattern is read.
 *
 *   scores = softcap(scale · q kᵀ) + bias, −inf where a key is not visible;  pattern = softmax(scores)
 *
 * GQA never materialises repeated keys: q is viewed as [B,K,G·S,D] with G = H/K.
 */
import { AttuneError } from '../../errors.ts';
import type { Emit } from '../../onnx/emitter.ts';
import { DataType, floatAttribute, intAttribute, type Node } from '../../onnx/index.ts';
import type { AttentionOperator, Site } from '../../sites/site.ts';
import { toBSHD } from './layout.ts';

export interface FusedInputs {
  /** [B,S,H,D], rotated where the model rotates, bias added. */
  readonly q: string;
  /** [B,kHeads,T,D], rotated and joined with the cache. */
  readonly k: string;
  /** Heads of k as the operator sees it: K, or H where the graph repeats keys before it. */
  readonly kHeads: number;
  /** Added to the scaled scores, broadcastable to [B,H,S,T]; -inf or very negative where masked. */
  readonly bias?: string | undefined;
  /** bool, broadcastable to [B,H,S,T]: true where the key may be seen. */
  readonly visible: readonly string[];
  /** Extra logit per head, [H]. */
  readonly headSink?: string | undefined;
}

/** hook_attn_scores: [B,H,S,T] with −inf at masked keys, in float32. */
export function fusedScores(e: Emit, site: Site, { q, k, kHeads: K, bias, visible }: FusedInputs): string {
  const { numHeads: H, headDim: D } = site;
  const groups = H / K;
  const float = (value: string) =>
    site.elemType === undefined || site.elemType === DataType.FLOAT ? value : e.cast(value, DataType.FLOAT);
  const bhsd = e.transpose(float(q), [0, 2, 1, 3]);
  const grouped = groups === 1 ? bhsd : e.reshape(bhsd, [0, K, -1, D]);
  const raw = e.op('MatMul', [grouped, e.transpose(float(k), [0, 1, 3, 2])], 'scores_raw');
  const scaled = e.op('Mul', [raw, e.scalar(site.scale ?? 1 / Math.sqrt(D))], 'scores_scaled');
  let scores = groups === 1 ? scaled : e.reshape(scaled, [0, H, { of: q, axis: 1 }, { of: k, axis: 2 }]);
  if (site.softcap) {
    const capped = e.op('Tanh', [e.op('Div', [scores, e.scalar(site.softcap)], 'cap_in')], 'cap');
    scores = e.op('Mul', [capped, e.scalar(site.softcap)], 'scores_capped');
  }
  if (bias !== undefined) scores = e.op('Add', [scores, float(bias)], 'scores_biased');
  for (const mask of visible) {
    scores = e.op('Where', [mask, scores, e.scalar(Number.NEGATIVE_INFINITY)], 'scores_masked');
  }
  return scores;
}

/** hook_pattern from scores; a head sink takes part in the sum and is then left out. */
export function fusedPattern(e: Emit, scores: string, headSink: string | undefined): string {
  if (headSink === undefined) return e.op('Softmax', [scores], 'pattern', { axis: -1 });
  const T = e.dim(scores, 3);
  const sink = e.reshape(e.cast(headSink, DataType.FLOAT), [1, -1, 1, 1]);
  const shape = e.shape([{ of: scores, axis: 0 }, { of: scores, axis: 1 }, { of: scores, axis: 2 }, 1]);
  const widened = e.op('Concat', [scores, e.op('Expand', [sink, shape], 'sink')], 'with_sink', { axis: 3 });
  const pattern = e.op('Softmax', [widened], 'pattern_sink', { axis: -1 });
  return e.slice(pattern, 3, e.ints(0), T);
}

/** The operator's inputs in the form above. */
export function fusedInputs(e: Emit, site: Site): FusedInputs {
  if (site.operator) return INPUTS[site.operator](e, site);
  throw new AttuneError('NOT_FUSED', { at: site.anchor.name, found: `form ${site.form}` });
}

const INPUTS: Readonly<Record<AttentionOperator, (e: Emit, site: Site) => FusedInputs>> = {
  'com.microsoft.GroupQueryAttention': groupQueryInputs,
  'com.microsoft.MultiHeadAttention': multiHeadInputs,
  'com.microsoft.Attention': packedAttentionInputs,
  Attention: standardAttentionInputs,
};

/** hook_q, hook_k, hook_v before rotary: [B,S,H|K,D]. */
export function fusedProjection(e: Emit, site: Site, which: 'q' | 'k' | 'v'): string {
  const { numHeads: H, kvHeads: K, headDim: D, valueDim: E } = site;
  const stages = site[which];
  const heads = which === 'q' ? H : K;
  const dim = which === 'v' ? E : D;
  if (site.projectsInside) return packedProjection(e, site, which);
  const place = stages.heads ?? stages.proj;
  const from = { q: 0, k: H * D, v: 2 * H * D }[which];
  if (place && site.biasInside !== undefined) {
    const bias = e.slice(site.biasInside, 0, e.ints(from), e.ints(from + heads * dim));
    return e.op('Add', [toBSHD(e, place, { heads, dim }), e.reshape(bias, [heads, dim])], `${which}_biased`);
  }
  if (place) return toBSHD(e, place, { heads, dim });
  if (stages.packed !== undefined) {
    const [from, to] =
      which === 'q' ? [0, H * D] : which === 'k' ? [H * D, (H + K) * D] : [(H + K) * D, (H + K) * D + K * E];
    return e.reshape(e.slice(stages.packed, 2, e.ints(from), e.ints(to)), [0, 0, heads, dim]);
  }
  throw new AttuneError('POINT_UNAVAILABLE', {
    at: site.anchor.name,
    found: `no value that carries ${which}`,
    hint: 'Please report this export with `attune inspect --explain`.',
  });
}

function input(node: Node, position: number): string | undefined {
  return node.inputs[position] || undefined;
}

function output(node: Node, position: number): string | undefined {
  return node.outputs[position] || undefined;
}

/** Position of row b's first new token, [B]: total − S, where a first prompt with right padding starts at 0. */
function pastLengths(e: Emit, seqlens: string, S: string): string {
  const total = e.op('Add', [e.reshape(e.cast(seqlens, DataType.INT64), [-1]), e.ints(1)], 'total');
  return e.op('Max', [e.op('Sub', [total, S], 'past'), e.ints(0)], 'past_lengths');
}

/** q or k as GroupQueryAttention receives it, before its own rotation: [B,S,heads,D]. */
function groupQueryOperand(e: Emit, site: Site, which: 'q' | 'k'): string {
  const { anchor, numHeads: H, kvHeads: K, headDim: D } = site;
  const heads = which === 'q' ? H : K;
  const separate = input(anchor, which === 'q' ? 0 : 1);
  if (input(anchor, 1) !== undefined) return e.reshape(separate!, [0, 0, heads, D]);
  const [from, to] = which === 'q' ? [0, H * D] : [H * D, (H + K) * D];
  return e.reshape(e.slice(anchor.inputs[0]!, 2, e.ints(from), e.ints(to)), [0, 0, heads, D]);
}

/** Rotated q or k of a GroupQueryAttention: [B,S,heads,D]. ORT contrib operators, GroupQueryAttention, RotaryEmbedding. */
export function groupQueryRotated(e: Emit, site: Site, which: 'q' | 'k'): string {
  const node = site.anchor;
  const plain = groupQueryOperand(e, site, which);
  if (intAttribute(node, 'do_rotary', 0) === 0) return plain;
  const heads = which === 'q' ? site.numHeads : site.kvHeads;
  const S = e.dim(plain, 1);
  let positions = input(node, 9);
  if (positions === undefined) {
    const past = e.reshape(pastLengths(e, node.inputs[5]!, S), [-1, 1]);
    positions = e.op('Add', [past, e.reshape(e.range(S), [1, -1])], 'positions');
  }
  const flat = e.reshape(plain, [0, 0, heads * site.headDim]);
  const rotated = e.op(
    'com.microsoft.RotaryEmbedding',
    [flat, positions, node.inputs[7]!, node.inputs[8]!],
    'rotated',
    {
      interleaved: intAttribute(node, 'rotary_interleaved', 0),
      num_heads: heads,
      rotary_embedding_dim:
        site.rotary?.dim !== undefined && site.rotary.dim < site.headDim ? site.rotary.dim : 0,
    },
  );
  return e.reshape(rotated, [0, 0, heads, site.headDim]);
}

function groupQueryInputs(e: Emit, site: Site): FusedInputs {
  const node = site.anchor;
  const q = groupQueryRotated(e, site, 'q');
  const k = presentKey(e, node, { past: 3, present: 1 }, () => groupQueryRotated(e, site, 'k'));
  const S = e.dim(q, 1);
  const past = e.reshape(pastLengths(e, node.inputs[5]!, S), [-1, 1, 1, 1]);
  const row = e.op('Add', [past, e.reshape(e.range(S), [1, 1, -1, 1])], 'row');
  const key = e.reshape(e.range(e.dim(k, 2)), [1, 1, 1, -1]);
  // Without a causal order a row sees all keys of its sequence.
  const last = e.op('Add', [past, e.op('Sub', [S, e.ints(1)], 'last')], 'last_row');
  const until = site.causal === false ? last : row;
  const visible = [e.op('Not', [e.op('Greater', [key, until], 'later')], 'causal')];
  const window = intAttribute(node, 'local_window_size', -1);
  if (window > 0) {
    visible.push(e.op('Greater', [key, e.op('Sub', [row, e.ints(window)], 'horizon')], 'in_window'));
  }
  let headSink = input(node, 11);
  if (headSink === undefined && intAttribute(node, 'smooth_softmax', 0) === 1) {
    headSink = e.op('Expand', [e.scalar(0), e.ints(site.numHeads)], 'smooth');
  }
  return { q, k, kHeads: site.kvHeads, bias: input(node, 10), visible, headSink };
}

/** [B,K,T,D]: the operator's present key, else its past joined with the new keys. */
function presentKey(
  e: Emit,
  node: Node,
  positions: { past: number; present: number },
  fresh: () => string,
): string {
  const present = output(node, positions.present);
  if (present !== undefined) return present;
  const bktd = e.transpose(fresh(), [0, 2, 1, 3]);
  const past = input(node, positions.past);
  return past === undefined ? bktd : e.op('Concat', [past, bktd], 'k_with_past', { axis: 2 });
}

/** com.microsoft.MultiHeadAttention; keys that the graph repeated reach it with H heads. */
function multiHeadInputs(e: Emit, site: Site): FusedInputs {
  const node = site.anchor;
  const { numHeads: H, headDim: D } = site;
  if (input(node, 1) === undefined) throw notBuilt(site, 'packed q, k and v in one tensor');
  const bias = input(node, 3);
  const withBias = (value: string, from: number) =>
    bias === undefined
      ? value
      : e.op('Add', [value, e.slice(bias, 0, e.ints(from), e.ints(from + H * D))], 'biased');
  const q = e.reshape(withBias(node.inputs[0]!, 0), [0, 0, H, D]);
  const k =
    site.k.operand?.layout === 'BHSD'
      ? node.inputs[1]!
      : presentKey(e, node, { past: 6, present: 1 }, () =>
          e.reshape(withBias(node.inputs[1]!, H * D), [0, 0, H, D]),
        );
  return {
    q,
    k,
    kHeads: H,
    ...contribMasks(e, site, { q, k, padding: input(node, 4), bias: input(node, 5) }),
  };
}

/** com.microsoft.Attention with packed weights. */
function packedAttentionInputs(e: Emit, site: Site): FusedInputs {
  const node = site.anchor;
  const q = packedProjection(e, site, 'q');
  let k = e.transpose(packedProjection(e, site, 'k'), [0, 2, 1, 3]);
  const past = input(node, 4);
  if (past !== undefined) {
    const pastKey = e.op('Gather', [past, e.int(0)], 'past_key', { axis: 0 });
    k = e.op('Concat', [pastKey, k], 'k_with_past', { axis: 2 });
  }
  const masks = contribMasks(e, site, { q, k, padding: input(node, 3), bias: input(node, 5) });
  return { q, k, kHeads: site.numHeads, ...masks };
}

function packedProjection(e: Emit, site: Site, which: 'q' | 'k' | 'v'): string {
  const { numHeads: H, headDim: D, valueDim: E } = site;
  const [x, weight, bias] = site.anchor.inputs;
  const [from, width] = which === 'q' ? [0, H * D] : which === 'k' ? [H * D, H * D] : [2 * H * D, H * E];
  const range = [e.ints(from), e.ints(from + width)] as const;
  let value = e.op('MatMul', [x!, e.slice(weight!, 1, ...range)], which);
  if (bias) value = e.op('Add', [value, e.slice(bias, 0, ...range)], `${which}_biased`);
  return e.reshape(value, [0, 0, H, which === 'v' ? E : D]);
}

/** The lowest float32. */
const LOWEST = -3.4028234663852886e38;

/** ai.onnx Attention. */
function standardAttentionInputs(e: Emit, site: Site): FusedInputs {
  const node = site.anchor;
  const { numHeads: H, kvHeads: K, headDim: D } = site;
  const fourD =
    site.q.operand?.layout === 'BHSD' || site.q.proj?.layout === 'BHSD' || site.q.heads?.layout === 'BHSD';
  const q = fourD ? e.transpose(node.inputs[0]!, [0, 2, 1, 3]) : e.reshape(node.inputs[0]!, [0, 0, H, D]);
  const fresh = () =>
    fourD ? e.transpose(node.inputs[1]!, [0, 2, 1, 3]) : e.reshape(node.inputs[1]!, [0, 0, K, D]);
  const past = input(node, 4);
  const present = output(node, 1);
  const bktd = () => e.transpose(fresh(), [0, 2, 1, 3]);
  const k = present ?? (past ? e.op('Concat', [past, bktd()], 'k_with_past', { axis: 2 }) : bktd());
  if (input(node, 6) !== undefined) throw notBuilt(site, 'nonpad_kv_seqlen');
  const visible: string[] = [];
  // is_causal counts rows and keys from the start of the call's own tokens after the cache.
  if (intAttribute(node, 'is_causal', 0) === 1)
    visible.push(past || present ? causal(e, q, k) : upperLeftCausal(e, q, k));
  const mask = input(node, 3);
  const boolean = site.masks.some((use) => use.value === mask && use.kind === 'select');
  // ONNX Runtime adds the lowest number where a boolean mask is false: a row that sees nothing sees all alike.
  const additive =
    mask !== undefined && boolean ? e.op('Where', [mask, e.scalar(0), e.scalar(LOWEST)], 'hidden') : mask;
  // Keys that the graph repeated reach the operator with H heads.
  return { q, k, kHeads: site.k.repeated ? H : K, bias: additive, visible };
}

/** Key j is visible to row i of S when j ≤ T − S + i. q [B,S,H,D], k [B,K,T,D]. */
function causal(e: Emit, q: string, k: string): string {
  const S = e.dim(q, 1);
  const T = e.dim(k, 2);
  const row = e.op('Add', [e.reshape(e.range(S), [-1, 1]), e.op('Sub', [T, S], 'past')], 'row');
  return e.op('Not', [e.op('Greater', [e.reshape(e.range(T), [1, -1]), row], 'later')], 'causal');
}

function upperLeftCausal(e: Emit, q: string, k: string): string {
  const row = e.reshape(e.range(e.dim(q, 1)), [-1, 1]);
  return e.op('Not', [e.op('Greater', [e.reshape(e.range(e.dim(k, 2)), [1, -1]), row], 'later')], 'causal');
}

/** What MultiHeadAttention and com.microsoft.Attention add to scores of padding where they are not told otherwise. */
const MASK_FILTER = -10000;

/**
 * Padding adds mask_filter_value, as the operators do, so that a row of nothing but padding still has a pattern; later
 * keys are hidden altogether.
 */
function contribMasks(
  e: Emit,
  site: Site,
  { q, k, padding, bias }: { q: string; k: string; padding: string | undefined; bias: string | undefined },
): Pick<FusedInputs, 'bias' | 'visible'> {
  const visible = intAttribute(site.anchor, 'unidirectional', 0) === 1 ? [causal(e, q, k)] : [];
  if (padding === undefined) return { bias, visible };
  const filler = floatAttribute(site.anchor, 'mask_filter_value', MASK_FILTER);
  const kept = paddingMask(e, site, padding, k);
  const filled = e.op('Where', [kept, e.scalar(0), e.scalar(filler)], 'padding');
  return {
    bias: bias === undefined ? filled : e.op('Add', [e.cast(bias, DataType.FLOAT), filled], 'bias'),
    visible,
  };
}

/** A 0/1 mask of keys, [B,T] or [B,S,T], or the number of real keys of each row, [B]. */
function paddingMask(e: Emit, site: Site, mask: string, k: string): string {
  const T = e.dim(k, 2);
  if (site.masks.some(({ value, kind }) => value === mask && kind === 'lengths')) {
    const lengths = e.reshape(e.cast(mask, DataType.INT64), [-1, 1, 1, 1]);
    return e.op('Less', [e.reshape(e.range(T), [1, 1, 1, -1]), lengths], 'within_length');
  }
  return e.reshape(e.cast(mask, DataType.BOOL), [{ of: k, axis: 0 }, 1, -1, { of: k, axis: 2 }]);
}

function notBuilt(site: Site, what: string): AttuneError {
  return new AttuneError('POINT_NOT_BUILT', {
    at: site.anchor.name || site.anchor.opType,
    found: what,
    hint: 'hook_z and the residual points of this layer can be read; its scores and pattern cannot yet.',
  });
}
