/** Greedy writing after a prompt, and whether what is written is a right answer. */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { type AnswerRule, answerSchema, extractAnswer, normaliseAnswer } from '../answers/answer.ts';
import { metricsOf, termsOf } from '../metrics/index.ts';
import { html } from '../reports/markup.ts';
import { write } from '../scoring/encode.ts';
import type { ItemCommon, Segments } from '../tasks/item.ts';
import { parseList, promptMaker } from '../tasks/render.ts';
import { common, metricList, prompt, template, until } from '../tasks/schema.ts';
import { defineOutput } from './output.ts';
import { passage, writtenTable } from './show.ts';

export interface GenerationItem extends ItemCommon {
  output: 'generate_until';
  context: string;
  segments?: Segments | undefined;
  until: readonly string[];
  maxTokens: number;
  /** Any of them is right. */
  answers: readonly string[];
  rule: AnswerRule;
}

export const generate = defineOutput({
  schema: z.strictObject({
    output: z.literal('generate_until'),
    ...common,
    prompt,
    target: template.describe('the right answer, or a JSON list of right answers'),
    targetIs: z.enum(['text', 'list']).default('text'),
    until,
    maxTokens: z.int().positive(),
    answer: answerSchema.prefault({}),
    metrics: metricList(metricsOf('written')),
  }),
  takesPicture: true,

  make(task, compile) {
    const asked = promptMaker(task.prompt, compile);
    const target = compile('target', task.target);
    const { maxTokens, answer: rule } = task;
    return (values, at) => {
      const rendered = target(values);
      const answers = task.targetIs === 'list' ? parseList(rendered, at) : [rendered];
      if (answers.every((answer) => answer.trim() === '')) {
        throw new AttuneError('DATA_TARGET', { at, found: 'no answer with text', expected: 'at least one' });
      }
      const how = { until: task.until, maxTokens, answers, rule };
      return { output: 'generate_until' as const, ...asked(values, at), ...how };
    };
  },

  prompts: (item: GenerationItem) => [item],
  withPrompts: (item, change) => change(item),
  answered: ({ context, answers }) => ({ context, continuation: ` ${answers[0]}` }),

  /** Every metric takes the best of the right answers. */
  async score(model, item, names) {
    const { text, finite, truncated, cost } = await write(model, item, item);
    const { rule } = item;
    const extracted = finite ? extractAnswer(text, rule) : undefined;
    const answer = extracted === undefined ? undefined : normaliseAnswer(extracted, rule);
    const right = item.answers.map((one) => normaliseAnswer(one, rule));
    return {
      terms: termsOf(names, { written: { answer, right } }),
      logLikelihoods: [],
      text,
      ...(extracted !== undefined && rule.extract !== undefined && { extracted }),
      truncated,
      unparsable: extracted === undefined,
      cost,
    };
  },

  show: ({ context, answers }, sides) =>
    html`${passage(context)}${writtenTable(sides, {
      what: 'answer',
      read: ({ extracted, unparsable }) => extracted ?? (unparsable ? 'none found' : ''),
      right: answers.join(' / '),
    })}`,
});
