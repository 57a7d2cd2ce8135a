/** A line of JSON for each result. */
import type { Result } from './results.ts';

export const jsonLines = (results: readonly Result[]): string =>
  results.map((result) => `${JSON.stringify(result)}\n`).join('');
