/** A yes-or-no question answered in writing. */

import type { Terms } from '../metrics/metric.ts';
import { readYesNo, yesNoTerms } from '../metrics/yes-no.ts';
import type { Metric } from '../tasks/definition.ts';
import type { YesNoItem } from '../tasks/item.ts';
import type { LanguageModel } from './language-model.ts';
import { pose } from './picture.ts';
import type { Score } from './score.ts';

/** @throws AttuneError SCORE_NO_VISION, SCORE_TOO_LONG, and what the model throws. */
export async function scoreYesNo(
  model: LanguageModel,
  { context, picture, until, maxTokens, parser, label }: YesNoItem,
  metrics: readonly Metric[],
): Promise<Score> {
  const posed = await pose(model, context, picture);
  const how = { until, maxTokens, picture: posed.picture };
  const { text, finite, truncated, cost } = await model.generate(model.encode(posed.text), how);
  const said = finite ? readYesNo(text, parser, label) : undefined;
  const terms: Record<string, Terms> = yesNoTerms(said, label);
  return {
    terms: Object.fromEntries(metrics.map((metric) => [metric, terms[metric]!])),
    logLikelihoods: [],
    text,
    ...(said !== undefined && { extracted: said ? 'yes' : 'no' }),
    truncated,
    unparsable: said === undefined,
    cost,
  };
}
