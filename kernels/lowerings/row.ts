/**
 * Edited attention while decoding: a call of one new row needs no more than the row's own probabilities, which a few small
 * nodes change. Where an operator keeps them to itself, the row is written out around them, with no more nodes than one row
 * needs; elsewhere they are a value of the graph.
 *
 * Letters: B batch, H query heads, K kv heads, D head size, T keys, E value size.
 */
import { emitter, HIDDEN, toFloat } from '../../onnx/emitter.ts';
import { DataType, type Node } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import type { RowForm, Values } from '../edits/edit.ts';
import type { EditContext } from '../site/context.ts';
import { joined, type Part } from '../site/fragment.ts';
import type { Operands } from '../site/operands.ts';
import { sinkSoftmax, softCap } from './functions/pattern.ts';

/** What rows of one site have in common with those of other layers, computed once per graph. */
export interface RowPlace {
  /** [B, 1] int64, where the operator rotates. */
  readonly positions: string | undefined;
  /** float32 [1, 1, 1, T], very low at keys that a window has left; undefined without one. */
  readonly gone: string | undefined;
}

/**
 * @param operator the site's, with its inputs as they are after all other edits
 * @param T keys with the cache, int64 [1]
 */
export function rowPlace({ emit, once }: EditContext, site: Site, operator: Node, T: string): RowPlace {
  const { window, rotatesInside: rotates } = site;
  const [seqlens, given] = [operator.inputs[5]!, operator.inputs[9]];
  const counted = () =>
    once(`row:positions ${seqlens}`, () => emit.reshape(emit.cast(seqlens, DataType.INT64), [-1, 1]));
  const gone = () =>
    once(`row:gone ${T} ${window}`, () => {
      const start = emit.op('Sub', [T, emit.ints(window!)], 'window_start');
      const left = emit.op('Less', [emit.range(T), start], 'left');
      const bias = emit.op('Where', [left, emit.scalar(HIDDEN), emit.scalar(0)], 'gone');
      return emit.reshape(bias, [1, 1, 1, -1]);
    });
  return {
    positions: rotates ? given || counted() : undefined,
    gone: window && site.fused ? gone() : undefined,
  };
}

/** Whether attention of one row can be written out: keys before it are an operand, or all keys are one, by head. */
export function takesRow({ site: { past, k } }: Operands): boolean {
  return past !== undefined || k.layout === 'BNSD';
}

/**
 * Attention of one row written out, with its probabilities edited on the way. Padding is hidden by what hides it from the
 * operator. Results: z, presentK, presentV, and states.
 */
export function attendRow(
  name: string,
  { opening, site: operands, zLayout }: Operands,
  { edit, gone }: RowForm & RowPlace,
  values: Values,
): Part {
  const { H, K, D, opset, elemType, softcap, headSink, bias, past } = operands;
  const emit = emitter(opset, `${name}.`);
  // A row's heads lie one after another: no axes have to change places.
  const joinedCache = (which: 'k' | 'v') => {
    const { value, layout } = operands[which];
    const now = layout === 'BNSD' ? value : emit('Reshape', [value, emit.ints(0, K, 1, -1)]);
    return past ? emit('Concat', [past[which], now], { axis: 2 }) : now;
  };
  const [presentK, presentV] = [joinedCache('k'), joinedCache('v')];
  const [k, v] = [presentK, presentV].map((x) => toFloat(emit, x, elemType)) as [string, string];
  const q = toFloat(emit, emit('Reshape', [operands.q.value, emit.ints(0, K, H / K, D)]), elemType);
  const scaled = emit('Mul', [q, emit.float(operands.scale ?? 1 / Math.sqrt(D))]);
  const products = emit('MatMul', [scaled, emit('Transpose', [k], { perm: [0, 1, 3, 2] })]); // [B, K, H/K, T]
  const plain = !softcap && !headSink && !bias && !gone;
  let scores = emit('Reshape', [products, plain ? emit.ints(0, H, -1) : emit.ints(0, H, 1, -1)]);
  if (softcap) scores = emit.call(softCap, scores, emit.float(softcap))[0]!;
  if (bias) scores = emit('Add', [scores, toFloat(emit, bias, elemType)]);
  if (gone) scores = emit('Add', [scores, gone]);
  const pattern = headSink
    ? emit.call(sinkSoftmax, scores, headSink)[0]!
    : emit('Softmax', [scores], { axis: -1 });
  const edited = edit(emit, plain ? pattern : emit('Squeeze', [pattern, emit.ints(2)]), values); // [B, H, T]
  const grouped = emit('Reshape', [edited.pattern, emit.ints(0, K, H / K, -1)]);
  const perHead = emit('MatMul', [grouped, v]); // [B, K, H/K, E]
  const flat = emit('Reshape', [perHead, zLayout === 'BNSD' ? emit.ints(0, H, 1, -1) : emit.ints(0, 1, -1)]);
  const z = elemType === DataType.FLOAT ? flat : emit('Cast', [flat], { to: elemType });
  return joined([opening, emit], { ...edited.states, z, presentK, presentV });
}

/** The probabilities of one row where they are a value of the graph, [B, H, 1, T]. Results: pattern, and states. */
export function editRow(name: string, opset: number, pattern: string, row: RowForm, values: Values): Part {
  const emit = emitter(opset, `${name}.`);
  const edited = row.edit(emit, emit('Squeeze', [pattern, emit.ints(2)]), values);
  return joined([emit], { ...edited.states, pattern: emit('Unsqueeze', [edited.pattern, emit.ints(2)]) });
}
