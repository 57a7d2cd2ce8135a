/** Comparing what a model did with what the golden file says. */
import type { Greedy } from './golden.ts';
import type { Logits } from './subject.ts';

type Nested = number | readonly Nested[];

/** Sizes differ, or a value is not a number; JSON has no infinity. */
const INCOMPARABLE = Number.MAX_VALUE;

/** Largest absolute difference. */
export function maxAbsError(actual: ArrayLike<number>, expected: Nested): number {
  const wanted = flatten(expected);
  if (actual.length !== wanted.length) return INCOMPARABLE;
  return wanted.reduce((worst, value, i) => {
    const error = Math.abs(actual[i]! - value);
    return Number.isNaN(error) ? INCOMPARABLE : Math.max(worst, error);
  }, 0);
}

function flatten(value: Nested): number[] {
  return typeof value === 'number' ? [value] : value.flatMap(flatten);
}

/** Number of positions that differ, a missing one included. */
export function differences<T>(actual: readonly T[], expected: readonly T[]): number {
  const longer = Math.max(actual.length, expected.length);
  return Array.from({ length: longer }, (_, i) => actual[i] === expected[i]).filter((same) => !same).length;
}

/** Tokens that differ before the first one that float32 cannot decide. */
export function greedyDifferences(tokens: readonly number[], { ids, fragile }: Greedy): number {
  const certain = fragile[0] ?? ids.length;
  return differences(tokens.slice(0, certain), ids.slice(0, certain));
}

/** Logits of a row's last token, [V]. */
export function lastLogits({ dims, data }: Logits, row = 0): Float32Array {
  const [, S, V] = dims as [number, number, number];
  return data.subarray((row * S + S - 1) * V, (row + 1) * S * V);
}

/** Nats per token over tokens 1 … n−1 of a row without padding, each predicted from those before it. */
export function meanNll(logits: Logits, tokens: readonly number[], row = 0): number {
  return meanNllFrom(logits, tokens, 1, row);
}

/** The same over tokens `from` … n−1. */
export function meanNllFrom(
  { dims, data }: Logits,
  tokens: readonly number[],
  from: number,
  row = 0,
): number {
  const [, S, V] = dims as [number, number, number];
  let sum = 0;
  for (let s = from - 1; s + 1 < tokens.length; s++) {
    const logits = data.subarray((row * S + s) * V, (row * S + s + 1) * V);
    const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const mass = logits.reduce((total, x) => total + Math.exp(x - max), 0);
    sum += Math.log(mass) + max - logits[tokens[s + 1]!]!;
  }
  return sum / (tokens.length - from);
}
