/**
 * ZeroTuning's typing of heads (arXiv 2505.11739): a head is up-effective if a probe γ > 1 on it alone helps,
 * down-effective if it hurts; only the type with more heads is tuned, and of it the heads that respond most. The
 * paper's exact ranking is not public; this is the toolkit's rule, golden case `zt-selection`.
 */

export type HeadType = 'up' | 'down' | 'neutral';

export interface HeadTyping {
  readonly types: readonly HeadType[];
  /** undefined where no head responds. */
  readonly dominant: 'up' | 'down' | undefined;
  /** Indices of the units to tune, ascending. */
  readonly selected: readonly number[];
}

/**
 * @param responses what the probe changed, one for each head (or other unit); positive is better
 * @param fraction of all units: at most ⌈fraction · units⌉ are kept
 */
export function typeHeads(responses: readonly number[], fraction: number): HeadTyping {
  const types = responses.map((response): HeadType => {
    if (response > 0) return 'up';
    return response < 0 ? 'down' : 'neutral';
  });
  const of = (type: HeadType) => [...types.keys()].filter((unit) => types[unit] === type);
  const [ups, downs] = [of('up'), of('down')];
  const total = (units: readonly number[]) =>
    units.reduce((sum, unit) => sum + Math.abs(responses[unit]!), 0);
  // Equally many of both: the type that responds more in sum, and of equal sums the one that helps.
  const up = ups.length === downs.length ? total(ups) >= total(downs) : ups.length > downs.length;
  const dominant = ups.length + downs.length === 0 ? undefined : up ? 'up' : 'down';
  const most = Math.ceil(fraction * responses.length);
  const selected = [...(dominant === 'down' ? downs : ups)]
    .sort((a, b) => Math.abs(responses[b]!) - Math.abs(responses[a]!) || a - b)
    .slice(0, most)
    .sort((a, b) => a - b);
  return { types, dominant, selected };
}
