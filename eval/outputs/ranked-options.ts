/** Options of one question ranked by the model: what multiple choice and both orders of a pair are made of. */
import type { ChoicesOutcome } from '../metrics/outcomes.ts';
import { isRanked, preferred } from '../metrics/outcomes.ts';
import { type Asked, encodeOptions } from '../scoring/encode.ts';
import type { Cost, LanguageModel } from '../scoring/language-model.ts';
import type { Option } from '../tasks/item.ts';

export interface Question extends Pick<Asked, 'segments' | 'picture' | 'shots'> {
  options: readonly Option[];
  gold: number;
  right?: readonly number[] | undefined;
}

export interface Ranked {
  outcome: ChoicesOutcome;
  /** The likeliest option, the first of equal ones; undefined where a number is not finite. */
  prediction: number | undefined;
  truncated: boolean;
  cost: Cost;
}

/**
 * @param alone whether the options are scored without their prompts as well
 * @throws AttuneError SCORE_EMPTY, SCORE_NO_VISION, and what the model throws
 */
export async function rankOptions(model: LanguageModel, question: Question, alone = false): Promise<Ranked> {
  const { options } = question;
  const requests = await encodeOptions(model, options, question);
  const bare = alone ? await encodeOptions(model, options.map(withoutPrompt)) : [];
  const { scores, cost } = await model.logLikelihoods([...requests, ...bare]);
  const ranked = choicesOutcome(
    question,
    scores.map(({ logLikelihood }) => logLikelihood),
  );
  const outcome = { ...ranked, greedy: scores.slice(0, options.length).map(({ greedy }) => greedy) };
  return {
    outcome,
    prediction: predictionOf(outcome),
    truncated: scores.some(({ truncated }) => truncated),
    cost,
  };
}

export const withoutPrompt = ({ continuation }: Option): { context: string; continuation: string } => ({
  context: '',
  continuation,
});

/** @param logLikelihoods of the options, and after them, where they were scored, of the options without their prompts */
export function choicesOutcome(
  { options, gold, right }: Question,
  logLikelihoods: readonly number[],
): ChoicesOutcome {
  const n = options.length;
  const unconditional = logLikelihoods.length > n ? logLikelihoods.slice(n) : undefined;
  return { options, gold, right, conditional: logLikelihoods.slice(0, n), unconditional };
}

export const predictionOf = (outcome: ChoicesOutcome): number | undefined =>
  isRanked(outcome) ? preferred(outcome, (l) => l) : undefined;
