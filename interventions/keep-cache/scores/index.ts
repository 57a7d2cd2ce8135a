/** The scores there are. */
import { h2o } from './h2o.ts';
import { keyNorm } from './key-norm.ts';
import { keydiff } from './keydiff.ts';
import { random } from './random.ts';
import type { Score } from './score.ts';
import { snapkv } from './snapkv.ts';
import { tova } from './tova.ts';
import { window } from './window.ts';

const ROWS = { window, h2o, tova, snapkv, 'key-norm': keyNorm, keydiff, random };

export type ScoreName = keyof typeof ROWS;

export const SCORE_NAMES = Object.keys(ROWS) as [ScoreName, ...ScoreName[]];

export const scoreNamed = (name: ScoreName): Score => ROWS[name] as unknown as Score;
