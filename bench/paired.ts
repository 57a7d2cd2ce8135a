/**
 * Paired timing: baseline and candidate take turns in one process, so that whatever slows the machine slows both.
 * The ratio is the median over pairs, which neither drift nor a few interrupted runs move.
 */
import { type Interval, median, medianInterval } from './statistics.ts';

/**
 * 'wall' is what a user waits for. 'cpu' is the processor time of this process, all threads: on a machine that is
 * shared with other work it is the sharper instrument, because being descheduled does not count.
 */
export type Clock = 'wall' | 'cpu';

/** One run, in milliseconds. */
export interface Sample {
  readonly wall: number;
  readonly cpu: number;
}

export interface Comparison {
  /** Medians. */
  readonly baselineMs: number;
  readonly ms: number;
  /** Median over pairs of candidate / baseline. */
  readonly ratio: number;
  /** 95 % interval of that median. */
  readonly interval: Interval;
  /** Fastest candidate / fastest baseline: disturbance only adds, so this is the ratio with the least of it. */
  readonly best: number;
  readonly pairs: number;
}

/** Start measuring; call the result to get what passed. */
export function stopwatch(): () => Sample {
  const start = performance.now();
  const used = process.cpuUsage();
  return () => {
    const wall = performance.now() - start;
    const { user, system } = process.cpuUsage(used);
    return { wall, cpu: (user + system) / 1000 };
  };
}

export async function timed(work: () => Promise<unknown>): Promise<Sample> {
  const stop = stopwatch();
  await work();
  return stop();
}

export interface PairOptions {
  /** Pairs that count. */
  readonly pairs: number;
  /** Pairs before those; default 1. */
  readonly warmUp?: number;
}

/** Run both in turn, the order changing from pair to pair. */
export async function paired(
  baseline: () => Promise<unknown>,
  candidate: () => Promise<unknown>,
  { pairs, warmUp = 1 }: PairOptions,
): Promise<[baseline: Sample, candidate: Sample][]> {
  const samples: [Sample, Sample][] = [];
  for (let i = -warmUp; i < pairs; i++) {
    const swapped = i % 2 !== 0;
    const first = await timed(swapped ? candidate : baseline);
    const second = await timed(swapped ? baseline : candidate);
    if (i >= 0) samples.push(swapped ? [second, first] : [first, second]);
  }
  return samples;
}

/** @param samples at least one pair */
export function compare(samples: readonly (readonly [Sample, Sample])[], clock: Clock): Comparison {
  const ratios = samples.map(([baseline, candidate]) => candidate[clock] / baseline[clock]);
  return {
    baselineMs: median(samples.map(([baseline]) => baseline[clock])),
    ms: median(samples.map(([, candidate]) => candidate[clock])),
    ratio: median(ratios),
    interval: medianInterval(ratios),
    best:
      fastest(samples.map(([, candidate]) => candidate[clock])) / fastest(samples.map(([one]) => one[clock])),
    pairs: samples.length,
  };
}

function fastest(times: readonly number[]): number {
  return times.reduce((a, b) => Math.min(a, b));
}

/** For notes: the interval, the number of pairs, and the ratio of the fastest runs. */
export function spread({ interval, pairs, best }: Comparison): string {
  const range = `${interval.low.toFixed(3)}–${interval.high.toFixed(3)} over ${pairs} pairs`;
  return `${range}, fastest ${best.toFixed(3)}`;
}
