/** Quantile of Student's t distribution. */
import { normalQuantile } from './normal.ts';

/**
 * By algorithm 396 (Hill, Communications of the ACM 13, 1970): six digits from 3 degrees of freedom on; 1 and 2 in closed form.
 * @param p in (0.5, 1). @param df at least 1.
 */
export function studentQuantile(p: number, df: number): number {
  const tail = 2 * (1 - p);
  if (df === 1) return 1 / Math.tan((tail * Math.PI) / 2);
  if (df === 2) return Math.sqrt(2 / (tail * (2 - tail)) - 2);
  const a = 1 / (df - 0.5);
  const b = 48 / a ** 2;
  let c = ((20700 * a) / b - 98) * a ** 2 - 16 * a + 96.36;
  const d = ((94.5 / (b + c) - 3) / b + 1) * Math.sqrt((a * Math.PI) / 2) * df;
  let y = (d * tail) ** (2 / df);
  if (y > 0.05 + a) {
    const x = normalQuantile(tail / 2);
    y = x ** 2;
    if (df < 5) c += 0.3 * (df - 4.5) * (x + 0.6);
    c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b;
    y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
    y = Math.expm1(a * y ** 2);
  } else {
    y =
      ((1 / (((df + 6) / (df * y) - 0.089 * d - 0.822) * (df + 2) * 3) + 0.5 / (df + 4)) * y - 1) *
        ((df + 1) / (df + 2)) +
      1 / y;
  }
  return Math.sqrt(df * y);
}
