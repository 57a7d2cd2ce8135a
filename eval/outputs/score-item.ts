/** One item of any task on one model. */
import type { MetricName } from '../metrics/index.ts';
import type { LanguageModel } from '../scoring/language-model.ts';
import { type Item, outputRow } from './index.ts';
import type { Score } from './score.ts';

/** @throws AttuneError SCORE_EMPTY, SCORE_TOO_LONG, SCORE_NO_VISION, MODEL_OUTPUT. */
export const scoreItem = (model: LanguageModel, item: Item, metrics: readonly MetricName[]): Promise<Score> =>
  outputRow(item.output).score(model, item, metrics);
