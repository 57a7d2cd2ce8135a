/**
 * Heads that copy. Retrieval heads (arXiv 2404.15574): while a needle is repeated, the key a head looks at most is the
 * very token that is emitted. Echo and induction (RazorAttention, arXiv 2407.15891): on random tokens said again, the
 * weight on earlier occurrences of the row's token, and on the tokens right after them.
 */

export interface CopyRun {
  readonly promptIds: readonly number[];
  /** [start, end) in the prompt; several where the needle is said several times. */
  readonly needles: readonly (readonly [start: number, end: number])[];
  readonly emittedIds: readonly number[];
  /** The row that predicts emittedIds[step], over the prompt and what was emitted before. */
  row(step: number): ArrayLike<number>;
}

export interface CopyScore {
  /** Hits over the needle's length; a token copied twice counts twice, so it may exceed 1 (the released code). */
  readonly frequency: number;
  /** Distinct needle tokens that were hit, over the needle's length (the paper). */
  readonly set: number;
}

export function copyScore({ promptIds, needles, emittedIds, row }: CopyRun): CopyScore {
  const length = needles[0]![1] - needles[0]![0];
  const hits: number[] = [];
  emittedIds.forEach((token, step) => {
    const at = onlyLargest(row(step));
    const inside = needles.some(([start, end]) => at >= start && at < end);
    if (inside && promptIds[at] === token) hits.push(token);
  });
  return { frequency: hits.length / length, set: new Set(hits).size / length };
}

/** Share of the needle's tokens that were emitted; a run counts where it is above one half. */
export function needleRecall(needle: readonly number[], emittedIds: readonly number[]): number {
  const left = [...emittedIds];
  const found = needle.filter((token) => {
    const at = left.indexOf(token);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
  return found.length / needle.length;
}

/** Index of the one largest entry; −1 for equal ones, of which none is looked at most. */
function onlyLargest(row: ArrayLike<number>): number {
  let best = 0;
  let equal = 1;
  for (let i = 1; i < row.length; i++) {
    if (row[i]! > row[best]!) {
      best = i;
      equal = 1;
    } else if (row[i] === row[best]) equal += 1;
  }
  return equal === 1 ? best : -1;
}

/** Where `part` stands in `whole`, [start, end). */
export function occurrences(part: readonly number[], whole: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (let start = 0; start + part.length <= whole.length; start++) {
    if (part.every((id, i) => whole[start + i] === id)) found.push([start, start + part.length]);
  }
  return found;
}

/**
 * Means over the rows whose token occurred before.
 * @param map [T, T] row by row, causal
 */
export function echoAndInduction(
  map: ArrayLike<number>,
  ids: readonly number[],
): { echo: number; induction: number } {
  const T = ids.length;
  let [echo, induction, rows] = [0, 0, 0];
  const seen = new Map<number, number[]>();
  for (let t = 0; t < T; t++) {
    const earlier = seen.get(ids[t]!) ?? [];
    if (earlier.length > 0) {
      rows += 1;
      for (const k of earlier) {
        echo += map[t * T + k]!;
        induction += map[t * T + k + 1]!;
      }
    }
    seen.set(ids[t]!, [...earlier, t]);
  }
  return rows === 0 ? { echo: 0, induction: 0 } : { echo: echo / rows, induction: induction / rows };
}
