/** One item of any task on one model. */
import type { Metric } from '../tasks/definition.ts';
import type { Item } from '../tasks/item.ts';
import { scoreWrittenCaption } from './caption.ts';
import { scoreContinuation } from './continuation.ts';
import { scoreGeneration } from './generation.ts';
import type { LanguageModel } from './language-model.ts';
import { scoreMultipleChoice } from './multiple-choice.ts';
import { scorePairwise } from './pairwise.ts';
import { scoreRolling } from './rolling.ts';
import type { Score } from './score.ts';
import { scoreYesNo } from './yes-no.ts';

/** @throws AttuneError SCORE_EMPTY, SCORE_TOO_LONG, MODEL_OUTPUT. */
export function scoreItem(model: LanguageModel, item: Item, metrics: readonly Metric[]): Promise<Score> {
  switch (item.output) {
    case 'multiple_choice':
      return scoreMultipleChoice(model, item, metrics);
    case 'loglikelihood':
      return scoreContinuation(model, item, metrics);
    case 'loglikelihood_rolling':
      return scoreRolling(model, item, metrics);
    case 'generate_until':
      return scoreGeneration(model, item, metrics);
    case 'yes_no':
      return scoreYesNo(model, item, metrics);
    case 'caption':
      return scoreWrittenCaption(model, item, metrics);
    case 'pairwise':
      return scorePairwise(model, item, metrics);
  }
}
