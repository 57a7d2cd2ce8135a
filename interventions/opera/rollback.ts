/** When OPERA goes back: the strongest stripe has stood in one column for many steps, in every beam. */

export interface RollbackRules {
  /** r: a column is over-trusted when it was the strongest in more (paper: in at least) so many steps. */
  readonly threshold: number;
  /** Whether r steps are enough (paper) or more are needed (released code). */
  readonly inclusive: boolean;
  /** β: how often a position is chosen anew. */
  readonly most: number;
  /** Columns before this one are left alone. */
  readonly minLocation: number;
}

export interface Decision {
  /** The most frequent location of each beam's candidates. */
  readonly perBeam: readonly number[];
  /** The most frequent of these. */
  readonly target: number;
  /** Steps, this one included, in which each beam had the target. */
  readonly counts: readonly number[];
  /** Response token that is chosen anew; undefined where the search goes on. */
  readonly position: number | undefined;
}

/**
 * @param history locations of each beam in the steps before
 * @param candidates locations of each beam's candidates now
 * @param used position → how often it was chosen anew
 */
export function decideRollback(
  history: readonly (readonly number[])[],
  candidates: readonly (readonly number[])[],
  used: ReadonlyMap<number, number>,
  { threshold, inclusive, most, minLocation }: RollbackRules,
): Decision {
  const perBeam = candidates.map(modeOf);
  const target = modeOf(perBeam);
  const counts = perBeam.map(
    (now, beam) => [...(history[beam] ?? []), now].filter((location) => location === target).length,
  );
  const enough = counts.every((count) => (inclusive ? count >= threshold : count > threshold));
  const free = (position: number) => (used.get(position) ?? 0) < most;
  const position =
    !enough || target < minLocation ? undefined : [target + 1, target].find((candidate) => free(candidate));
  return { perBeam, target, counts, position };
}

/** The most frequent value, the smallest of equally frequent ones. */
function modeOf(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  let mode = Number.POSITIVE_INFINITY;
  let most = 0;
  for (const [value, count] of counts) {
    if (count > most || (count === most && value < mode)) [mode, most] = [value, count];
  }
  return mode;
}
