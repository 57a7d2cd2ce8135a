/**
 * Successive halving (Karnin et al., 2013): settings are compared with the baseline on a few items, the better half goes on to
 * twice as many, and so on, so that the last of them have seen all. They are ranked by what varies with every item, the paired
 * difference of margins, and each gain has its error.
 */

export interface Round {
  /** Settings that are still in. */
  readonly settings: number;
  /** Items that they have seen after it. */
  readonly items: number;
}

export interface Raced {
  /** Items that the setting has seen. */
  readonly items: number;
  /** Mean of the paired differences of margins, in nats. */
  readonly gain: number;
  /** Standard error of that mean. */
  readonly error: number;
}

/** Fewer items than this rank nothing. */
const FEWEST = 8;

/** @param halvings how often the field is halved, at most as often as the first round keeps eight items */
export function roundsOf(settings: number, items: number, halvings: number): Round[] {
  const most = Math.max(0, Math.floor(Math.log2(items / FEWEST)));
  const times = Math.min(halvings, most);
  return Array.from({ length: times + 1 }, (_, round) => ({
    settings: Math.ceil(settings / 2 ** round),
    items: Math.ceil(items / 2 ** (times - round)),
  }));
}

/** Settings times items that the rounds measure; each item once, the baseline apart. */
export const measurementsOf = (rounds: readonly Round[]): number =>
  rounds.reduce((sum, { settings, items }, i) => sum + settings * (items - (rounds[i - 1]?.items ?? 0)), 0);

/**
 * @param margins of the first `items` items, under each of the settings of these indices and under the baseline
 * @returns one for each setting
 */
export async function race(
  rounds: readonly Round[],
  margins: (
    settings: readonly number[],
    items: number,
  ) => Promise<{ baseline: readonly number[]; settings: readonly (readonly number[])[] }>,
): Promise<Raced[]> {
  const raced: Raced[] = [];
  let field = Array.from({ length: rounds[0]!.settings }, (_, setting) => setting);
  for (const { settings, items } of rounds) {
    field = [...field]
      .sort((a, b) => (raced[b]?.gain ?? 0) - (raced[a]?.gain ?? 0) || a - b)
      .slice(0, settings);
    const measured = await margins(field, items);
    field.forEach((setting, i) => {
      raced[setting] = pairedGain(measured.baseline, measured.settings[i]!);
    });
  }
  return raced;
}

function pairedGain(baseline: readonly number[], margins: readonly number[]): Raced {
  const differences = margins.map((margin, i) => margin - baseline[i]!);
  const n = differences.length;
  const gain = differences.reduce((sum, d) => sum + d, 0) / n;
  const variance = differences.reduce((sum, d) => sum + (d - gain) ** 2, 0) / (n - 1);
  return { items: n, gain, error: Math.sqrt(variance / n) };
}
