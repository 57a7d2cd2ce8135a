/** One right continuation (LAMBADA and its kind): would greedy decoding write it, and how likely is it. */
import { z } from 'zod';
import { metricsOf, termsOf } from '../metrics/index.ts';
import { html } from '../reports/markup.ts';
import { encodeOptions } from '../scoring/encode.ts';
import type { ItemCommon, Segments } from '../tasks/item.ts';
import { promptMaker } from '../tasks/render.ts';
import { common, metricList, prompt, template } from '../tasks/schema.ts';
import { defineOutput } from './output.ts';
import { finite } from './score.ts';
import { passage, textTable } from './show.ts';

export interface LogLikelihoodItem extends ItemCommon {
  output: 'loglikelihood';
  context: string;
  segments?: Segments | undefined;
  continuation: string;
}

export const loglikelihood = defineOutput({
  schema: z.strictObject({
    output: z.literal('loglikelihood'),
    ...common,
    prompt,
    target: template.describe('the continuation'),
    metrics: metricList(metricsOf('continuation')),
  }),
  takesPicture: false,

  make(task, compile) {
    const asked = promptMaker(task.prompt, compile);
    const target = compile('target', task.target);
    return (values, at) => ({
      output: 'loglikelihood' as const,
      ...asked(values, at),
      continuation: task.delimiter + target(values),
    });
  },

  prompts: (item: LogLikelihoodItem) => [item],
  withPrompts: (item, change) => change(item),
  answered: ({ context, continuation }) => ({ context, continuation }),

  async score(model, item, names) {
    const { scores, cost } = await model.logLikelihoods(await encodeOptions(model, [item], item));
    const { logLikelihood, greedy, truncated } = scores[0]!;
    return {
      terms: termsOf(names, { continuation: { logLikelihood, greedy } }),
      logLikelihoods: [finite(logLikelihood)],
      greedy,
      truncated,
      unparsable: Number.isNaN(logLikelihood),
      cost,
    };
  },

  show: (item, sides) => html`${passage(item.context)}${textTable(item.continuation, sides)}`,
});
