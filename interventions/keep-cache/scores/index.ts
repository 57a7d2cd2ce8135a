/** The scores there are. */
import { keyDifference } from './key-difference.ts';
import { keyNorm } from './key-norm.ts';
import { random } from './random.ts';
import type { Score } from './score.ts';
import { window } from './window.ts';

export const SCORES: readonly Score<never>[] = [window, keyNorm, keyDifference, random];

export const scoreNamed = (name: string): Score<unknown> =>
  SCORES.find((score) => score.name === name) as unknown as Score<unknown>;
