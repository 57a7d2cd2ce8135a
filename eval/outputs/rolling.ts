/**
 * Perplexity of a text of any length by rolling windows, as lm-evaluation-harness 0.4.13 takes it: each token is predicted
 * once, the first from the prefix token, those of the last window with as much context as the model's length allows.
 */
import { z } from 'zod';
import { metricsOf, termsOf } from '../metrics/index.ts';
import { html } from '../reports/markup.ts';
import { PYTHON_SPACE } from '../scoring/encode.ts';
import type { TokenRequest } from '../scoring/language-model.ts';
import type { ItemCommon } from '../tasks/item.ts';
import { common, metricList, template } from '../tasks/schema.ts';
import { defineOutput } from './output.ts';
import { finite } from './score.ts';
import { passage, textTable } from './show.ts';

export interface RollingItem extends ItemCommon {
  output: 'loglikelihood_rolling';
  text: string;
}

/** The harness counts words by splitting at runs of space, ends included. */
const spaces = new RegExp(`[${PYTHON_SPACE}]+`, 'u');

export const rolling = defineOutput({
  schema: z.strictObject({
    output: z.literal('loglikelihood_rolling'),
    ...common,
    target: template.describe('the text whose perplexity is taken'),
    metrics: metricList(metricsOf('text')),
  }),
  takesPicture: false,

  make(task, compile) {
    const text = compile('target', task.target);
    return (values) => ({ output: 'loglikelihood_rolling' as const, text: text(values) });
  },

  prompts: ({ text }: RollingItem) => [{ context: text }],
  withPrompts: (item, change) => ({ ...item, text: change({ context: item.text }).context }),
  answered: ({ text }) => ({ context: '', continuation: text }),

  async score(model, { text }, names) {
    const windows = rollingWindows(model.encode(text), model.prefixToken, model.maxLength);
    const { scores, cost } = await model.logLikelihoods(windows);
    const logLikelihood = scores.reduce((sum, score) => sum + score.logLikelihood, 0);
    const [words, bytes] = [text.split(spaces).length, Buffer.byteLength(text)];
    return {
      terms: termsOf(names, { text: { logLikelihood, words, bytes } }),
      logLikelihoods: [finite(logLikelihood)],
      truncated: scores.some(({ truncated }) => truncated),
      unparsable: Number.isNaN(logLikelihood),
      cost,
    };
  },

  show: ({ text }, sides) => html`${passage(text)}${textTable('the whole text', sides)}`,
});

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
