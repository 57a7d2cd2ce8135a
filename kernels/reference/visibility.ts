/**
 * Which key each query row may see: causality, padding, sliding window, hidden spans, all as one 0/1 tensor.
 */
import { at, build, type Tensor } from './tensor.ts';

export interface Mask {
  /** Row s stands at position (T - S) + s and sees keys up to there. Default true. */
  readonly causal?: boolean | undefined;
  /** Keys seen to the left, the row's own included (`local_window_size` of GroupQueryAttention). */
  readonly window?: number | undefined;
  /** (B, T) with 0 at padding. A causal row that is itself padding sees nothing. */
  readonly keys?: Tensor | undefined;
  /** Half-open key ranges nobody sees; `batch` restricts one to a row of the batch. */
  readonly hidden?: readonly { start: number; end: number; batch?: number }[] | undefined;
}

/** @returns (B, S, T), 1 where row s of batch row b sees key t */
export function visibility(
  [B, S, T]: readonly [number, number, number],
  { causal = true, window, keys, hidden = [] }: Mask = {},
): Tensor {
  const past = T - S;
  return build([B, S, T], (b, s, t) => {
    const row = past + s!;
    const real = (i: number) => !keys || at(keys, b!, i) !== 0;
    const inTime = !causal || (t! <= row && real(row));
    const inWindow = window === undefined || t! > row - window;
    const blocked = hidden.some(
      ({ start, end, batch }) => t! >= start && t! < end && (batch === undefined || batch === b),
    );
    return Number(real(t!) && inTime && inWindow && !blocked);
  });
}

/** (B, T) key mask of left-padded rows: key t is real from `first[b]` on. */
export function leftPadding(first: readonly number[], T: number): Tensor {
  return build([first.length, T], (b, t) => Number(t! >= first[b!]!));
}
