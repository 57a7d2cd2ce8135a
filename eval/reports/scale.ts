/** A linear axis with ends and ticks at round numbers. */

export interface Scale {
  ticks: number[];
  /** Decimal places that tell the ticks apart. */
  places: number;
  /** Value to pixels. */
  at(value: number): number;
}

/** @param from, to pixels of the axis' ends; the values' range is widened to round numbers. */
export function linearScale(values: readonly number[], from: number, to: number, count = 5): Scale {
  const least = Math.min(...values);
  const most = Math.max(...values);
  const raw = (most - least || Math.abs(most) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw) ?? 10);
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(Math.ceil(most / step - 1e-9), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const span = (last - first) * step;
  return {
    ticks,
    places: Math.max(0, Math.ceil(-Math.log10(step) - 1e-9) + (step / power === 2.5 ? 1 : 0)),
    at: (value) => from + ((value - first * step) / span) * (to - from),
  };
}
