/** A caption written greedily, and which of the objects it names are in the picture. */
import { scoreAmber } from '../metrics/amber.ts';
import { captionTerms, scoreCaption } from '../metrics/chair.ts';
import type { Terms } from '../metrics/metric.ts';
import { vocabularyOf } from '../metrics/vocabulary-of.ts';
import type { Metric } from '../tasks/definition.ts';
import type { CaptionItem } from '../tasks/item.ts';
import type { LanguageModel } from './language-model.ts';
import { pose } from './picture.ts';
import type { Score } from './score.ts';

/** @throws AttuneError SCORE_NO_VISION, SCORE_TOO_LONG, DATA_FILE, and what the model throws. */
export async function scoreWrittenCaption(
  model: LanguageModel,
  { context, picture, until, maxTokens, objects, imagined, vocabulary: source }: CaptionItem,
  metrics: readonly Metric[],
): Promise<Score> {
  const { vocabulary, amber } = vocabularyOf(source);
  const posed = await pose(model, context, picture);
  const how = { until, maxTokens, picture: posed.picture };
  const { text, finite, truncated, cost } = await model.generate(model.encode(posed.text), how);
  const truth = new Set(objects.map((name) => vocabulary.nameOf(name)));
  const score = scoreCaption(text, truth, vocabulary);
  const own = amber && scoreAmber(text, { truth: objects, hallu: imagined }, amber, vocabulary);
  const terms: Record<string, Terms> = { ...captionTerms(score), ...own?.terms };
  const absent = own ? own.hallucinated : score.hallucinated.map(({ object }) => object);
  return {
    // What was not written has no hallucination to count; a caption that broke off is in the unparsable ones.
    terms: finite ? Object.fromEntries(metrics.map((metric) => [metric, terms[metric]!])) : {},
    logLikelihoods: [],
    text,
    absent: [...new Set(absent)],
    truncated,
    unparsable: !finite,
    cost,
  };
}
