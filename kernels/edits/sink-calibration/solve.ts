/**
 * Sink calibration in float64: keys whose mean weight exceeds a threshold, never the first, keep the share β of their
 * weight.
 */
import { columnScore, columnStatistics } from '../../reference/column-statistics.ts';
import { probTransfer, type TransferRule } from '../../reference/prob-transfer.ts';
import { at, block, build, indices, type Tensor, zeros } from '../../reference/tensor.ts';
import type { Solved, Solving } from '../edit.ts';
import type { Calibration } from './options.ts';

export interface SinkOptions {
  /** A key with more weight is a sink, of a head that sees N keys. */
  readonly limit: (b: number, h: number, N: number) => number;
  /** 'initial' spares the first real token, 'first_detected' the first key above the limit. */
  readonly exclude: Calibration['exclude'];
  /** Column of the first real token of each batch row: (B). */
  readonly first: Tensor;
}

export function solveCalibration({ stats, exclude }: Calibration, call: Solving, probs: Tensor): Solved {
  const [sum, counted] = [call.state('column_sum'), call.state('column_count')];
  const [B, , , T] = probs.shape as [number, number, number, number];
  const known = stats === 'running' && sum && counted;
  const before = known ? { sum, count: { shape: [B, counted.shape[2]!], data: counted.data } } : undefined;
  const state = columnStatistics(call.before, call.visible, before);
  const score = columnScore(state);
  const sinks = stats === 'frozen' ? call.value('sinks') : detected();
  const beta = call.value('beta');
  const transfer = probTransfer(
    probs,
    sinkGroups(sinks),
    2,
    calibrationRule((b, h) => at(beta, b, h)),
  );
  const states = { column_sum: state.sum, column_count: { shape: [B, 1, T], data: state.count.data } };
  return { value: transfer.probs, transfer, found: { sinks, score }, states };

  function detected(): Tensor {
    const [tau, alpha] = [call.value('tau'), call.value('alpha')];
    const limit = (b: number, h: number, N: number) => at(tau, b, h) + at(alpha, b, h) / N;
    const options = { limit, exclude, first: call.value('first') };
    return stats === 'row'
      ? rowSinks(probs, call.visible, options)
      : sinksOf(score, state.count, realKeys(call, B, T), options);
  }
}

/** Number of real keys of each batch row. */
function realKeys({ mask }: Solving, B: number, T: number): number[] {
  return Array.from({ length: B }, (_, b) => {
    return mask?.keys ? block(mask.keys, b).reduce((sum, real) => sum + Number(real !== 0), 0) : T;
  });
}

/** Groups 0 rest, 1 sinks: w_1 = β, w_0 = (m_0 + (1 − β) m_1) / m_0. @param beta of a head */
export function calibrationRule(beta: (b: number, h: number) => number): TransferRule {
  return ([rest, sinks], b, h) => {
    if (rest === 0) return [1, 1];
    return [(rest! + (1 - beta(b, h)) * sinks!) / rest!, beta(b, h)];
  };
}

/**
 * @param score (B, H, T) column scores @param count (B, T) rows that see each key @param N real keys of each batch row
 * @returns (B, H, T) of 0 and 1
 */
export function sinksOf(score: Tensor, count: Tensor, N: readonly number[], options: SinkOptions): Tensor {
  const [B, H, T] = score.shape as [number, number, number];
  const sinks = zeros(B, H, T);
  for (const [b, h] of indices(B, H) as Iterable<[number, number]>) {
    const limit = options.limit(b, h, N[b]!);
    const hit = block(score, b, h).map((x, t) => Number(at(count, b, t) > 0 && x > limit));
    block(sinks, b, h).set(spare(hit, b, options));
  }
  return sinks;
}

/** Stateless detection on each row by itself; N is the number of keys the row sees. (B, H, S, T) */
export function rowSinks(probs: Tensor, visible: Tensor, options: SinkOptions): Tensor {
  const [B, H, S] = probs.shape as [number, number, number];
  const sinks = zeros(...probs.shape);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const seen = block(visible, b, s);
    const limit = options.limit(
      b,
      h,
      seen.reduce((n, v) => n + v, 0),
    );
    const hit = block(probs, b, h, s).map((p, t) => Number(seen[t] === 1 && p > limit));
    block(sinks, b, h, s).set(spare(hit, b, options));
  }
  return sinks;
}

function spare(hit: Float64Array, b: number, { exclude, first }: SinkOptions): Float64Array {
  const spared = exclude === 'initial' ? at(first, b) : hit.indexOf(1);
  return hit.map((x, t) => (t === spared ? 0 : x));
}

/** Group ids for the rule: 0 rest, 1 sink, with the axes the sinks came in. */
export function sinkGroups(sinks: Tensor): Tensor {
  if (sinks.shape.length === 4) return sinks;
  const [B, H, T] = sinks.shape as [number, number, number];
  return build([B, H, 1, T], (b, h, _, t) => at(sinks, b!, h!, t!));
}
