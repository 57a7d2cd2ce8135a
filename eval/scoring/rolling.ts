/**
 * Perplexity of a text of any length by rolling windows, as lm-evaluation-harness 0.4.13 takes it: each token is predicted
 * once, the first from the prefix token, those of the last window with as much context as the model's length allows.
 */

import type { Terms } from '../metrics/metric.ts';
import type { Metric } from '../tasks/definition.ts';
import type { RollingItem } from '../tasks/item.ts';
import { PYTHON_SPACE } from './encode-pair.ts';
import type { LanguageModel, TokenRequest } from './language-model.ts';
import { finite, type Score } from './score.ts';

/** The harness counts words by splitting at runs of space, ends included. */
const spaces = new RegExp(`[${PYTHON_SPACE}]+`, 'u');

export async function scoreRolling(
  model: LanguageModel,
  { text }: RollingItem,
  metrics: readonly Metric[],
): Promise<Score> {
  const windows = rollingWindows(model.encode(text), model.prefixToken, model.maxLength);
  const { scores, cost } = await model.logLikelihoods(windows);
  const logLikelihood = scores.reduce((sum, score) => sum + score.logLikelihood, 0);
  const unparsable = Number.isNaN(logLikelihood);
  const bytes = Buffer.byteLength(text);
  const terms: Partial<Record<Metric, Terms>> = {
    word_perplexity: [-logLikelihood, text.split(spaces).length],
    byte_perplexity: [-logLikelihood, bytes],
    bits_per_byte: [-logLikelihood, bytes],
  };
  return {
    terms: unparsable ? {} : Object.fromEntries(metrics.map((metric) => [metric, terms[metric]])),
    logLikelihoods: [finite(logLikelihood)],
    truncated: scores.some(({ truncated }) => truncated),
    unparsable,
    cost,
  };
}

/** Requests that together predict every token once, each from the maxLength tokens before its last one. */
export function rollingWindows(
  tokens: readonly number[],
  prefixToken: number,
  maxLength: number,
): TokenRequest[] {
  const windows: TokenRequest[] = [];
  for (let predicted = 0; predicted < tokens.length; ) {
    const end = Math.min(tokens.length, predicted + maxLength);
    windows.push({
      context: predicted === 0 ? [prefixToken] : tokens.slice(end - 1 - maxLength, predicted),
      continuation: tokens.slice(predicted, end),
    });
    predicted = end;
  }
  return windows;
}
