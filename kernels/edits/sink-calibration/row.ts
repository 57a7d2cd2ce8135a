/**
 * Sink calibration while decoding, one new row (lowerings/row.ts). What all layers have in common (how many rows have seen
 * each key, and from which column sum on a key is a sink) is computed once per graph.
 */

import { DataType } from '../../../onnx/index.ts';
import type { EditContext } from '../../site/context.ts';
import type { RowCall, RowForm } from '../edit.ts';
import { isOneRow, zeroPerHead } from '../one-row.ts';
import type { Calibration, Statistics } from './options.ts';
import { calibrateKeys } from './transfer.ts';

/** A sum that no column reaches. */
const NEVER = 1e30;

/** Rows that have seen each key before this call: float32 [B|1, 1, P]. In a causal sequence the mask tells. */
export function pastCounts({ context, site: { window }, S, T }: RowCall): string {
  const { emit, once, attentionMask } = context;
  return once(`sinks:past ${S} ${T} ${window} ${attentionMask}`, () => {
    const P = emit.op('Sub', [T, S], 'past');
    const past = emit.slice(realKeys(context, T), 1, emit.ints(0), P);
    return emit.reshape(seenBy(context, past, P, window), [0, 1, -1]);
  });
}

/** @returns undefined where the short form does not apply */
export function calibrateRow({ stats, exclude }: Calibration, call: RowCall): RowForm | undefined {
  const { context, site, values, S, T } = call;
  if (!site.fused || stats === 'chunk' || exclude !== 'initial') return undefined;
  if (stats === 'frozen' && 'sinks' in values) return undefined;
  const zero = zeroPerHead(context, site);
  const threshold = stats === 'frozen' ? undefined : thresholdOf(call, stats);
  return { applies: isOneRow(context, S, T), edit: calibration(stats, threshold, zero) };
}

/** τ + α/N times what it is compared with, and out of reach for keys that cannot be sinks. */
function thresholdOf({ context, site, values, T }: RowCall, stats: Statistics): string {
  const { emit, once, attentionMask } = context;
  const { tau, alpha, first } = values as Record<'tau' | 'alpha' | 'first', string>;
  const key = `sinks:threshold ${stats} ${site.window} ${tau} ${alpha} ${first} ${T} ${attentionMask}`;
  return once(key, () => {
    const keys = realKeys(context, T);
    const visible =
      stats === 'row' && site.window !== undefined
        ? emit.op('Mul', [keys, inWindow(context, T, site.window)], 'visible')
        : keys;
    const N = emit.reshape(
      emit.op('ReduceSum', [visible, emit.ints(1)], 'keys_seen', { keepdims: 1 }),
      [0, 1, 1],
    );
    const perHead = (x: string) => emit.op('Unsqueeze', [x, emit.ints(2)], 'per_head');
    const share = emit.op('Div', [perHead(alpha), N], 'share');
    const mean = emit.op('Add', [perHead(tau), share], 'mean');
    const counts =
      stats === 'running' ? emit.reshape(seenBy(context, keys, T, site.window), [0, 1, -1]) : undefined;
    const limit = counts ? emit.op('Mul', [mean, counts], 'limit') : mean;
    const place = emit.reshape(emit.range(T), [1, -1]);
    const isFirst = emit.op('Equal', [place, emit.reshape(first, [-1, 1])], 'is_first');
    const real = emit.cast(keys, DataType.BOOL);
    const open = emit.op('And', [real, emit.op('Not', [isFirst], 'not_first')], 'open');
    return emit.op('Where', [emit.reshape(open, [0, 1, -1]), limit, emit.scalar(NEVER)], 'threshold');
  });
}

/** 1 at real keys: float32 [B|1, T]. */
function realKeys({ emit, once, attentionMask }: EditContext, T: string): string {
  return once(`sinks:real ${T} ${attentionMask}`, () => {
    if (attentionMask !== undefined) return emit.cast(attentionMask, DataType.FLOAT);
    const shape = emit.op('Concat', [emit.ints(1), T], 'shape', { axis: 0 });
    return emit.op('Expand', [emit.scalar(1), shape], 'real');
  });
}

/** 1 at keys the last row sees under a window: float32 [1, T]. */
function inWindow({ emit }: EditContext, T: string, window: number): string {
  const gone = emit.op('Sub', [T, emit.ints(window)], 'gone');
  return emit.reshape(
    emit.cast(emit.op('GreaterOrEqual', [emit.range(T), gone], 'in_window'), DataType.FLOAT),
    [1, -1],
  );
}

/** Real rows at or after each key, less those its window has left: [B|1, length], float32. */
function seenBy({ emit }: EditContext, keys: string, length: string, window: number | undefined): string {
  const later = emit.op('CumSum', [keys, emit.int(1)], 'rows_later', { reverse: 1 });
  if (window === undefined) return later;
  const reach = emit.op('Min', [emit.ints(window), length], 'reach');
  const beyond = emit.slice(later, 1, reach, length);
  const pads = emit.op('Concat', [emit.ints(0, 0, 0), reach], 'pads', { axis: 0 });
  return emit.op('Sub', [later, emit.op('Pad', [beyond, pads], 'beyond')], 'rows_seeing');
}

/**
 * @param threshold a key whose column sum ('running') or weight ('row') is above it is a sink: float32 [B|1, H|1, T]
 * @param zero float32 [B, H, 1], for the new key's place in a state
 */
const calibration =
  (stats: Statistics, threshold: string | undefined, zero: string): RowForm['edit'] =>
  (emit, pattern, values) => {
    const grow = (state: string) => emit('Concat', [state, zero], { axis: 2 });
    const above = (x: string) => emit('Cast', [emit('Greater', [x, threshold!])], { to: DataType.FLOAT });
    const states: Record<string, string> = {};
    let sinks: string; // [B, H, T]
    if (stats === 'running') {
      states.column_sum = emit('Add', [grow(values.past_column_sum!), pattern]);
      sinks = above(states.column_sum);
    } else if (stats === 'row') {
      sinks = above(pattern);
    } else {
      sinks = grow(values.past_sinks!);
      states.sinks = sinks;
    }
    const beta = emit('Unsqueeze', [values.beta!, emit.ints(2)]);
    return { pattern: calibrateKeys(emit, { pattern, sinks, beta }, 2), states };
  };
