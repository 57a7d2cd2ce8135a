/** Sink tokens by their residual stream (kernels/detect/massive-activations.ts), found in the graph and kept for decoding. */
import type { EditContext, Emit } from '../hooks/compile/index.ts';
import { DataType } from '../onnx/index.ts';
import { imageHere } from './image-tokens.ts';

/** Inside the root mean square, as in the released code of VAR. */
const EPSILON = 1e-6;

export interface SinkRule {
  /** Of the state; unique to the layer. */
  readonly name: string;
  /** Knob int64 [settings, n]: hidden dimensions. */
  readonly dimensions: string;
  /** Knob float32 [settings, 1]. */
  readonly tau: string;
  /** φ > τ instead of φ ≥ τ. */
  readonly strict: boolean;
}

/** float32, over all T keys. */
export interface KeyGroups {
  /** [B, 3, T]: 1 at visual keys that are no sinks, at sinks, at visual keys. */
  readonly groups: string;
  /** [B, T]: 1 at sinks. */
  readonly sink: string;
}

/**
 * Sinks and visual keys. Tokens of a run of several are examined; a single token was generated and is no sink, nor is padding.
 *
 * @param rows [B, S, M] the residual stream of this run's tokens
 */
export function keyGroups(context: EditContext, rows: string, rule: SinkRule): KeyGroups {
  const { emit, attentionMask, once } = context;
  const several = once('several rows', () => {
    return emit.op('Greater', [emit.dim(rows, 1), emit.ints(1)], 'several_rows');
  });
  const real = once('real rows', () => {
    const shape = emit.op('Concat', [emit.dim(rows, 0), emit.dim(rows, 1)], 'rows', { axis: 0 });
    if (attentionMask === undefined) return emit.op('Expand', [emit.bool(true), shape], 'real_rows');
    const T = emit.dim(attentionMask, 1);
    const past = emit.op('Sub', [T, emit.dim(rows, 1)], 'past');
    return emit.cast(emit.slice(attentionMask, 1, past, T), DataType.BOOL); // [B, S]
  });
  const here = imageHere(context, rows); // [B, 1, S]
  const single = once('key groups of a single row', () => {
    const none = emit.op('Mul', [here, emit.scalar(0)], 'no_sinks');
    return emit.op('Concat', [here, none, here], 'groups', { axis: 1 });
  });
  const [added] = emit.either(
    several,
    (inner) => {
      const found = inner.op('And', [reached(inner, rows, rule), real], 'found');
      const sinks = inner.op('Unsqueeze', [inner.cast(found, DataType.FLOAT), inner.ints(1)], 'sinks');
      const others = inner.op('Sub', [inner.scalar(1), sinks], 'no_sinks');
      const receivers = inner.op('Mul', [here, others], 'receivers');
      const groups = inner.op('Concat', [receivers, sinks, here], 'groups', { axis: 1 }); // [B, 3, S]
      return [[groups, DataType.FLOAT]];
    },
    () => [[single, DataType.FLOAT]],
  ) as [string];
  const { past, keep } = context.carry(rule.name, 3);
  const groups = emit.op('Concat', [past, added], 'groups', { axis: 2 });
  keep(groups);
  return { groups, sink: emit.op('Gather', [groups, emit.int(1)], 'sink', { axis: 1 }) };
}

/** bool [B, S]: φ has reached τ. */
function reached(emit: Emit, rows: string, { dimensions, tau, strict }: SinkRule): string {
  const x = emit.cast(rows, DataType.FLOAT);
  const lengths = [emit.dim(rows, 0), emit.dim(rows, 1), emit.dim(dimensions, 1)];
  const shape = emit.op('Concat', lengths, 'shape', { axis: 0 });
  const perToken = emit.op('Unsqueeze', [dimensions, emit.ints(1)], 'per_token');
  const indices = emit.op('Expand', [perToken, shape], 'indices');
  const chosen = emit.op('GatherElements', [x, indices], 'chosen', { axis: 2 }); // [B, S, n]
  const top = reduce(emit, 'ReduceMax', emit.op('Abs', [chosen], 'size'));
  const square = reduce(emit, 'ReduceMean', emit.op('Mul', [x, x], 'square'));
  const rms = emit.op('Sqrt', [emit.op('Add', [square, emit.scalar(EPSILON)], 'with_epsilon')], 'rms');
  const phi = emit.op('Div', [top, rms], 'phi'); // [B, S]
  return emit.op(strict ? 'Greater' : 'GreaterOrEqual', [phi, tau], 'sink');
}

/** Over the last axis, which goes: an attribute until opset 17, an input from 18. */
function reduce(emit: Emit, op: 'ReduceMax' | 'ReduceMean', x: string): string {
  return emit.opset >= 18
    ? emit.op(op, [x, emit.ints(-1)], 'reduced', { keepdims: 0 })
    : emit.op(op, [x], 'reduced', { axes: [-1], keepdims: 0 });
}
