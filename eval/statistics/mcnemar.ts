/**
 * McNemar's exact test for paired right/wrong answers (McNemar, 1947): of the items that changed, under no effect each goes
 * either way with probability ½.
 */

export interface Discordance {
  /** Items that went from wrong to right. */
  gained: number;
  /** Items that went from right to wrong. */
  lost: number;
}

export function discordance(before: readonly boolean[], after: readonly boolean[]): Discordance {
  let gained = 0;
  let lost = 0;
  after.forEach((right, i) => {
    if (right && !before[i]) gained++;
    if (!right && before[i]) lost++;
  });
  return { gained, lost };
}

/** Two-sided p: min(1, 2 P(X ≤ min(gained, lost))) for X binomial(gained + lost, ½). */
export function mcnemarExact({ gained, lost }: Discordance): number {
  const n = gained + lost;
  const k = Math.min(gained, lost);
  if (2 * k >= n) return 1;
  // The terms C(n, i) 2^−n, in logarithms: 2^−n underflows for n > 1074.
  let logTerm = -n * Math.LN2;
  let sum = Math.exp(logTerm);
  for (let i = 1; i <= k; i++) {
    logTerm += Math.log((n - i + 1) / i);
    sum += Math.exp(logTerm);
  }
  return Math.min(1, 2 * sum);
}
