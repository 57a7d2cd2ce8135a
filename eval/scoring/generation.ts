/** Greedy writing after a prompt, and whether what is written is a right answer. */
import type { Metric } from '../tasks/definition.ts';
import type { GenerationItem } from '../tasks/item.ts';
import { extractAnswer, normaliseAnswer, wordF1 } from './answer.ts';
import { encodeSegments } from './encode-segments.ts';
import type { LanguageModel } from './language-model.ts';
import { pose } from './picture.ts';
import type { Score } from './score.ts';

const MEASURES: Record<string, (answer: string, right: string) => number> = {
  exact_match: (answer, right) => Number(answer === right),
  contains: (answer, right) => Number(right !== '' && answer.includes(right)),
  f1: wordF1,
  length: (answer) => answer.split(/\s+/).filter((word) => word !== '').length,
};

/** Every metric takes the best of the right answers. @throws AttuneError SCORE_TOO_LONG, and what the model throws. */
export async function scoreGeneration(
  model: LanguageModel,
  { context, segments, picture, until, maxTokens, answers, rule }: GenerationItem,
  metrics: readonly Metric[],
): Promise<Score> {
  const posed = await pose(model, context, picture);
  const { tokens, documents } = segments
    ? encodeSegments(model, segments)
    : { tokens: model.encode(posed.text), documents: undefined };
  const how = { until, maxTokens, documents, picture: posed.picture };
  const { text, finite, truncated, cost } = await model.generate(tokens, how);
  const extracted = finite ? extractAnswer(text, rule) : undefined;
  const unparsable = extracted === undefined;
  const answer = unparsable ? '' : normaliseAnswer(extracted, rule);
  const right = answers.map((one) => normaliseAnswer(one, rule));
  const best = (metric: string) => Math.max(...right.map((one) => MEASURES[metric]!(answer, one)));
  return {
    terms: Object.fromEntries(metrics.map((metric) => [metric, [unparsable ? 0 : best(metric), 1]])),
    logLikelihoods: [],
    text,
    ...(extracted !== undefined && rule.extract !== undefined && { extracted }),
    truncated,
    unparsable,
    cost,
  };
}
