/** The families that are built; one row each. A family of a golden file without a row is reported as not built. */
import type { Family } from '../family.ts';
import { leftPadding } from './left-padding.ts';
import { documents } from './pine.ts';
import { plain } from './plain.ts';
import { singleHeadAblation } from './single-head-ablation.ts';
import { STEERED } from './steered.ts';
import { detokenizer, tokenizer } from './text.ts';

export const END_TO_END: readonly Family[] = [
  tokenizer,
  detokenizer,
  plain,
  leftPadding,
  ...STEERED,
  singleHeadAblation,
  documents,
];
