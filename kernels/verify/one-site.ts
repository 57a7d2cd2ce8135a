/**
 * A model of one attention in the forms that exporters write, for a problem: what the compiler is proven and timed on. It has
 * what a decoder has around its attention, as far as edits use it: token ids, an attention mask, a cache, a residual stream.
 */
import { AttuneError } from '../../errors.ts';
import { type Emit, emitter } from '../../onnx/emitter.ts';
import { DataType, type Model, makeGraph, makeModel, makeNode, makeValueInfo } from '../../onnx/index.ts';
import { segmentsOf } from '../edits/documents.ts';
import type { Problem } from '../problem.ts';
import { rePosition, rotaryTables } from '../reference/re-position.ts';
import { basePositions } from '../reference/segments.ts';
import { at, build, type Tensor, tensor } from '../reference/tensor.ts';
import { visibility } from '../reference/visibility.ts';
import { feed, flat, rows } from './feeds.ts';
import type { Feed } from './runner.ts';

/** GroupQueryAttention, MultiHeadAttention, ai.onnx Attention, and products and Softmax as nodes. */
export const FORMS = ['gqa', 'mha', 'attention', 'decomposed'] as const;
export type SiteForm = (typeof FORMS)[number];

export interface OneSite {
  readonly model: Model;
  readonly feeds: Readonly<Record<string, Feed>>;
  /** Channels of a head in the graph, which may be more than the problem's: those are zeros. */
  readonly E: number;
}

const NAMES = { pastK: 'past_key_values.0.key', pastV: 'past_key_values.0.value' };
const PRESENT = ['present.0.key', 'present.0.value'];
const HIDDEN_LOGIT = -1e9;

/** Whether a form can express a problem at all. */
export function formTakes(form: SiteForm, problem: Problem): boolean {
  const { q, k, v, mask, softcap, headSink } = problem;
  if (mask?.hidden) return false;
  const [B, H, S, D] = q.shape as [number, number, number, number];
  const plain = softcap === undefined && headSink === undefined && mask?.window === undefined;
  const rotated = boundsOf(problem) !== undefined;
  switch (form) {
    case 'gqa':
      // The CPU kernel: "batch_size must be 1 when sequence_length > 1 and past context is given"; it rotates 16 channels or more.
      return mask?.causal !== false && !(S > 1 && k.shape[2]! > S && B > 1) && (!rotated || D % 16 === 0);
    case 'mha':
      return plain && !rotated && k.shape[1] === H;
    case 'attention':
      return headSink === undefined && mask?.window === undefined && !rotated;
    case 'decomposed':
      return plain && v.shape[3] === D;
  }
}

/**
 * @param elemType of q, k, v and head outputs
 * @throws AttuneError LOWERING_LACKS_OPERATOR for a problem the form cannot express
 */
export function oneSite(form: SiteForm, problem: Problem, elemType: number = DataType.FLOAT): OneSite {
  if (!formTakes(form, problem)) {
    throw new AttuneError('LOWERING_LACKS_OPERATOR', { at: form, found: 'a problem beyond its options' });
  }
  const given = form === 'gqa' ? widened(problem) : problem;
  const sizes = sizesOf(given);
  const { S, T, past } = sizes;
  const opset = form === 'attention' ? 23 : 21;
  const emit = emitter(opset, 'model.');
  const site: Writing = { emit, problem: given, sizes, elemType };
  const written = WRITERS[form](site);
  emit.as('y', 'Add', ['x', 'z']);
  const k = atBase(given);
  const feeds: Record<string, Feed> = {
    input_ids: { elemType: DataType.INT64, dims: [sizes.B, S], values: Array(sizes.B * S).fill(1) },
    attention_mask: feed(given.mask?.keys ?? build([sizes.B, T], () => 1), DataType.INT64),
    x: {
      elemType,
      dims: [sizes.B, S, sizes.H * sizes.E],
      values: Array(sizes.B * S * sizes.H * sizes.E).fill(0),
    },
    q: flat(given.q, 0, S, elemType),
    k: flat(given.k, past, T, elemType),
    v: flat(given.v, past, T, elemType),
    [NAMES.pastK]: rows(k, 0, past, elemType),
    [NAMES.pastV]: rows(given.v, 0, past, elemType),
    ...written,
  };
  const model = makeModel(
    makeGraph('one attention', {
      nodes: emit.nodes,
      inputs: Object.entries(feeds).map(([name, { elemType: type, dims }]) =>
        makeValueInfo(name, type, symbolic(name, dims)),
      ),
      outputs: ['z', 'y', ...PRESENT].map((name) => makeValueInfo(name, elemType)),
    }),
    { '': opset, 'com.microsoft': 1 },
  );
  return { model, feeds, E: sizes.E };
}

interface Sizes {
  readonly B: number;
  readonly H: number;
  readonly K: number;
  readonly S: number;
  readonly T: number;
  readonly D: number;
  readonly E: number;
  readonly past: number;
}

interface Writing {
  readonly emit: Emit;
  readonly problem: Problem;
  readonly sizes: Sizes;
  readonly elemType: number;
}

/** Emits z and the present keys and values; returns what the form is fed beside what all are. */
type Writer = (site: Writing) => Record<string, Feed>;

const WRITERS: Readonly<Record<SiteForm, Writer>> = {
  gqa: groupQuery,
  mha: multiHead,
  attention: standard,
  decomposed: products,
};

function sizesOf({ q, k, v }: Problem): Sizes {
  const [B, H, S, D] = q.shape as [number, number, number, number];
  const [, K, T] = k.shape as [number, number, number];
  return { B, H, K, S, T, D, E: v.shape[3]!, past: T - S };
}

/** Declared shapes: only ranks, heads and head sizes are fixed, as in exported models. */
function symbolic(name: string, dims: readonly number[]): (number | string)[] {
  if (name === 'head_sink' || name === 'cos' || name === 'sin') return [...dims];
  const tensors = ['x', 'q', 'k', 'v', NAMES.pastK, NAMES.pastV].includes(name);
  return dims.map((dim, axis) => {
    if (tensors && (axis === dims.length - 1 || (dims.length === 4 && axis === 1))) return dim;
    return `${name}_${axis}`;
  });
}

function groupQuery({ emit, problem, sizes: { H, K, D }, elemType }: Writing): Record<string, Feed> {
  const { mask, scale, softcap, headSink } = problem;
  const rope = boundsOf(problem) && problem.rope;
  const real = emit('ReduceSum', ['attention_mask', emit.ints(1)], { keepdims: 0 });
  const seqlens = emit('Cast', [emit('Sub', [real, emit.int(1)])], { to: DataType.INT32 });
  const length = emit('Gather', [emit('Shape', ['attention_mask']), emit.int(1)], { axis: 0 });
  const total = emit('Cast', [length], { to: DataType.INT32 });
  const rotary = tablesOf(problem, elemType);
  const inputs = ['q', 'k', 'v', NAMES.pastK, NAMES.pastV, seqlens, total];
  if (rope) inputs.push('cos', 'sin');
  if (headSink) inputs.push(...Array<string>(11 - inputs.length).fill(''), 'head_sink');
  const attributes = {
    num_heads: H,
    kv_num_heads: K,
    scale: { float: scale ?? 1 / Math.sqrt(D) },
    local_window_size: mask?.window ?? -1,
    do_rotary: rope ? 1 : 0,
    rotary_interleaved: rope?.interleaved ? 1 : 0,
    ...(softcap ? { softcap: { float: softcap } } : {}),
  };
  const node = makeNode('com.microsoft.GroupQueryAttention', [], [], { attributes });
  emit.copy(node, inputs, ['z', ...PRESENT]);
  return { ...rotary, ...(headSink ? { head_sink: feed(headSink, elemType) } : {}) };
}

function multiHead({ emit, problem: { mask, scale }, sizes: { H, D }, elemType }: Writing) {
  const bias = mask?.keys ? paddingBias(emit, elemType) : '';
  const attributes = {
    num_heads: H,
    unidirectional: mask?.causal === false ? 0 : 1,
    scale: { float: scale ?? 1 / Math.sqrt(D) },
  };
  const node = makeNode('com.microsoft.MultiHeadAttention', [], [], { attributes });
  emit.copy(node, ['q', 'k', 'v', '', '', bias, NAMES.pastK, NAMES.pastV], ['z', ...PRESENT]);
  return {};
}

function standard({ emit, problem: { mask, scale, softcap }, sizes: { H, K, D }, elemType }: Writing) {
  const bias = mask?.keys ? paddingBias(emit, elemType) : '';
  const attributes = {
    q_num_heads: H,
    kv_num_heads: K,
    is_causal: mask?.causal === false ? 0 : 1,
    scale: { float: scale ?? 1 / Math.sqrt(D) },
    ...(softcap ? { softcap: { float: softcap } } : {}),
  };
  const node = makeNode('Attention', [], [], { attributes });
  emit.copy(node, ['q', 'k', 'v', bias, NAMES.pastK, NAMES.pastV], ['z', ...PRESENT]);
  return {};
}

/** [B, 1, S, T] of the operator's type: very low at padding. */
function paddingBias(emit: Emit, elemType: number): string {
  const real = emit('Cast', ['attention_mask'], { to: DataType.BOOL });
  const low = elemType === DataType.FLOAT16 ? -6e4 : HIDDEN_LOGIT;
  const bias = emit('Where', [real, emit.scalar(0, elemType), emit.scalar(low, elemType)]);
  const shape = emit.shape([
    { of: 'q', axis: 0 },
    1,
    { of: 'q', axis: 1 },
    { of: 'attention_mask', axis: 1 },
  ]);
  return emit('Expand', [emit('Unsqueeze', [bias, emit.ints(1, 2)]), shape]);
}

/** Products and Softmax as nodes, the mask as an input. */
function products({ emit, problem, sizes, elemType }: Writing): Record<string, Feed> {
  const { B, H, K, S, T, D } = sizes;
  const heads = (value: string, N: number) => emit.transpose(emit.reshape(value, [0, 0, N, D]), [0, 2, 1, 3]); // [B, N, S, D]
  const rope = boundsOf(problem) && problem.rope;
  const rotary = tablesOf(problem, elemType);
  const turned = (value: string) => {
    if (!rope) return value;
    const past = emit('Sub', [emit.dim('attention_mask', 1), emit.dim('q', 1)]);
    const own = emit('Add', [emit.range(emit.dim('q', 1)), past]);
    const positions = emit('Expand', [
      emit('Unsqueeze', [own, emit.ints(0)]),
      emit.shape([{ of: 'q', axis: 0 }, 1]),
    ]);
    const interleaved = rope.interleaved ? 1 : 0;
    return emit('com.microsoft.RotaryEmbedding', [value, positions, 'cos', 'sin'], { interleaved });
  };
  const q = turned(heads('q', H));
  const k = emit.as(PRESENT[0]!, 'Concat', [NAMES.pastK, turned(heads('k', K))], { axis: 2 });
  const v = emit.as(PRESENT[1]!, 'Concat', [NAMES.pastV, heads('v', K)], { axis: 2 });
  const repeated = (value: string) => {
    if (K === H) return value;
    const grouped = emit('Unsqueeze', [value, emit.ints(2)]);
    const dims = [{ of: value, axis: 0 }, K, H / K, { of: value, axis: 2 }, D] as const;
    return emit.reshape(emit('Expand', [grouped, emit.shape(dims)]), [0, H, -1, D]);
  };
  const raw = emit('MatMul', [q, emit.transpose(repeated(k), [0, 1, 3, 2])]);
  const scaled = emit('Mul', [raw, emit.scalar(problem.scale ?? 1 / Math.sqrt(D), elemType)]);
  const pattern = emit('Softmax', [emit('Add', [scaled, 'causal_mask'])], { axis: -1 });
  const perHead = emit('MatMul', [pattern, repeated(v)]);
  emit.as('z', 'Reshape', [emit.transpose(perHead, [0, 2, 1, 3]), emit.ints(0, 0, H * D)]);
  const visible = visibility([B, S, T], problem.mask);
  const low = elemType === DataType.FLOAT16 ? -6e4 : HIDDEN_LOGIT;
  const mask = build([B, 1, S, T], (b, _h, s, t) => (at(visible, b!, s!, t!) ? 0 : low));
  return { causal_mask: feed(mask, elemType), ...rotary };
}

/** Of an edit over documents: where they start and the last one ends. */
function boundsOf({ edits = [] }: Problem): Tensor | undefined {
  return edits.find(({ edit }) => edit.row.stage === 'documents')?.values.bounds;
}

function tablesOf(problem: Problem, elemType: number): Record<string, Feed> {
  if (!boundsOf(problem)) return {};
  const { cos, sin } = rotaryTables(problem.rope!, problem.k.shape[2]! + 1);
  return { cos: feed(cos, elemType), sin: feed(sin, elemType) };
}

/** Keys as the cache holds them: under documents rotated to base positions. */
function atBase(problem: Problem): Tensor {
  const { k } = problem;
  const bounds = boundsOf(problem);
  if (!bounds) return k;
  const T = k.shape[2]!;
  return rePosition(k, tensor([1, 1, T], basePositions(segmentsOf(bounds), T).data), problem.rope!);
}

/** GroupQueryAttention wants head sizes that are multiples of 8: channels of zeros change nothing but the default scale. */
function widened(problem: Problem): Problem {
  const { q, k, v } = problem;
  const [D, E] = [q.shape[3]!, v.shape[3]!];
  if (D === E && D % 8 === 0) return problem;
  const width = 8 * Math.ceil(Math.max(D, E) / 8);
  const wide = (x: Tensor) => {
    const [B, N, S, own] = x.shape as [number, number, number, number];
    return build([B, N, S, width], (b, n, s, d) => (d! < own ? at(x, b!, n!, s!, d!) : 0));
  };
  return { ...problem, q: wide(q), k: wide(k), v: wide(v), scale: problem.scale ?? 1 / Math.sqrt(D) };
}
