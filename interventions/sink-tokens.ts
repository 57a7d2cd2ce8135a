/** Sink tokens by their residual stream (kernels/detect/massive-activations.ts), found in the graph and kept for decoding. */
import type { EditContext, Emitter } from '../hooks/compile/index.ts';
import { DataType } from '../hooks/onnx/index.ts';

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

/**
 * 1 at the sinks among all keys, float32 [B, T]. Tokens of a run of several are examined; a single token was generated
 * and is no sink, nor is padding.
 *
 * @param rows [B, S, M] the residual stream of this run's tokens
 */
export function sinkFlags(context: EditContext, rows: string, rule: SinkRule): string {
  const { emit, attentionMask, once } = context;
  const several = once('several rows', () => {
    return emit.op('Greater', [emit.length(rows, 1), emit.ints(1)], 'several_rows');
  });
  const real = once('real rows', () => {
    const shape = emit.op('Concat', [emit.length(rows, 0), emit.length(rows, 1)], 'rows', { axis: 0 });
    if (attentionMask === undefined) return emit.op('Expand', [emit.bool(true), shape], 'real_rows');
    const T = emit.length(attentionMask, 1);
    const past = emit.op('Sub', [T, emit.length(rows, 1)], 'past');
    return emit.cast(emit.slice(attentionMask, 1, past, T), DataType.BOOL); // [B, S]
  });
  const none = once('no sinks', () => {
    const shape = emit.op('Concat', [emit.length(rows, 0), emit.ints(1, 1)], 'none', { axis: 0 });
    return emit.op('Expand', [emit.scalar(0), shape], 'no_sinks'); // [B, 1, 1]
  });
  const flags = emit.either(
    several,
    DataType.FLOAT,
    (inner) => {
      const found = inner.op('And', [reached(inner, rows, rule), real], 'found');
      return inner.op('Unsqueeze', [inner.cast(found, DataType.FLOAT), inner.ints(1)], 'flags'); // [B, 1, S]
    },
    (inner) => inner.op('Identity', [none], 'flags'),
  );
  const { past, keep } = context.carry(rule.name, 1);
  const all = emit.op('Concat', [past, flags], 'sinks', { axis: 2 });
  keep(all);
  return emit.op('Squeeze', [all, emit.ints(1)], 'sinks');
}

/** bool [B, S]: φ has reached τ. */
function reached(emit: Emitter, rows: string, { dimensions, tau, strict }: SinkRule): string {
  const x = emit.cast(rows, DataType.FLOAT);
  const lengths = [emit.length(rows, 0), emit.length(rows, 1), emit.length(dimensions, 1)];
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
function reduce(emit: Emitter, op: 'ReduceMax' | 'ReduceMean', x: string): string {
  return emit.opset >= 18
    ? emit.op(op, [x, emit.ints(-1)], 'reduced', { keepdims: 0 })
    : emit.op(op, [x], 'reduced', { axes: [-1], keepdims: 0 });
}
