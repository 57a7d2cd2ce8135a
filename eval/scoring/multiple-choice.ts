/**
 * Multiple choice by log-likelihood, as lm-evaluation-harness 0.4.13 scores it (`ConfigurableTask.process_results`):
 * every metric is an arg-max over options of ℓ = ln p(continuation | context), in some measure, and the first of equal
 * options wins.
 */

import type { Terms } from '../metrics/metric.ts';
import { yesNoTerms } from '../metrics/yes-no.ts';
import type { Metric } from '../tasks/definition.ts';
import { isRight, type MultipleChoiceItem, type Option } from '../tasks/item.ts';
import { encodePair } from './encode-pair.ts';
import type { LanguageModel } from './language-model.ts';
import { pose } from './picture.ts';
import { finite, type Score } from './score.ts';

/** What an option is ranked by. u is its log-likelihood without context. */
const MEASURES: Record<string, (l: number, option: Option, u: number) => number> = {
  acc: (l) => l,
  acc_norm: (l, { text }) => l / [...text].length,
  acc_bytes: (l, { text }) => l / Buffer.byteLength(text),
  acc_mutual_info: (l, _, u) => l - u,
};

type Posable = Pick<MultipleChoiceItem, 'options' | 'segments' | 'picture' | 'positive' | 'gold' | 'right'>;

/** @throws AttuneError SCORE_EMPTY, SCORE_NO_VISION, and what the model throws. */
export async function scoreMultipleChoice(
  model: LanguageModel,
  { options, segments, picture, positive, ...answer }: Posable,
  metrics: readonly Metric[],
): Promise<Score> {
  const mutual = metrics.includes('acc_mutual_info');
  // A picture has one prompt.
  const posed = picture && (await pose(model, options[0]!.context, picture));
  const requests = options.map(({ context, continuation }) => ({
    ...encodePair(model, posed?.text ?? context, continuation, segments),
    ...(posed && { picture: posed.picture }),
  }));
  const alone = mutual ? options.map(({ continuation }) => encodePair(model, '', continuation)) : [];
  const { scores, cost } = await model.logLikelihoods([...requests, ...alone]);

  const lls = scores.map(({ logLikelihood }) => logLikelihood);
  const conditional = lls.slice(0, options.length);
  const unconditional = lls.slice(options.length);
  const unparsable = lls.some((l) => Number.isNaN(l));
  const predict = (metric: string) => predictionBy(metric, options, conditional, unconditional);
  const yesNo: Record<string, Terms> =
    positive === undefined
      ? {}
      : yesNoTerms(unparsable ? undefined : predict('acc') === positive, answer.gold === positive);
  const share = unparsable ? 0 : rightShare(conditional, (option) => isRight(answer, option));
  const termsOf = (metric: Metric): Terms =>
    metric === 'mc2'
      ? [share, 1]
      : metric in MEASURES
        ? [!unparsable && isRight(answer, predict(metric)) ? 1 : 0, 1]
        : yesNo[metric]!;
  return {
    terms: Object.fromEntries(metrics.map((metric) => [metric, termsOf(metric)])),
    logLikelihoods: conditional.map(finite),
    ...(mutual && { unconditional: unconditional.map(finite) }),
    ...(!unparsable && { prediction: predict('acc') }),
    truncated: scores.some(({ truncated }) => truncated),
    unparsable,
    cost,
  };
}

/**
 * Index of the option that a metric prefers.
 * @param conditional finite, one for each option; `unconditional` likewise for acc_mutual_info
 */
export function predictionBy(
  metric: string,
  options: readonly Option[],
  conditional: readonly number[],
  unconditional: readonly number[] = [],
): number {
  return firstLargest(
    options.map((option, i) => MEASURES[metric]!(conditional[i]!, option, unconditional[i] ?? Number.NaN)),
  );
}

/**
 * TruthfulQA's MC2 (Lin et al., 2022): of the probability of all options, the share that right ones have. 0 where no option has
 * any, a decoding having cut all of them off.
 */
export function rightShare(lls: readonly number[], right: (option: number) => boolean): number {
  const largest = Math.max(...lls);
  if (largest === Number.NEGATIVE_INFINITY) return 0;
  const weights = lls.map((l) => Math.exp(l - largest));
  const sum = (of: readonly number[]) => of.reduce((total, weight) => total + weight, 0);
  return sum(weights.filter((_, option) => right(option))) / sum(weights);
}

function firstLargest(values: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
