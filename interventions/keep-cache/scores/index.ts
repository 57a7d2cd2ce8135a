/** The scores there are. */
import { h2o } from './h2o.ts';
import { keyNorm } from './key-norm.ts';
import { keydiff } from './keydiff.ts';
import { random } from './random.ts';
import type { Score } from './score.ts';
import { snapkv } from './snapkv.ts';
import { tova } from './tova.ts';
import { window } from './window.ts';

export const SCORES: readonly Score<never>[] = [window, h2o, tova, snapkv, keyNorm, keydiff, random];

export const scoreNamed = (name: string): Score<unknown> =>
  SCORES.find((score) => score.name === name) as unknown as Score<unknown>;
