/** A yes-or-no question answered in writing. */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { readYesNo, YES_NO_PARSERS, type YesNoParser } from '../answers/yes-no.ts';
import { metricsOf, termsOf } from '../metrics/index.ts';
import { html } from '../reports/markup.ts';
import { write } from '../scoring/encode.ts';
import type { ItemCommon } from '../tasks/item.ts';
import { common, metricList, template, until } from '../tasks/schema.ts';
import { defineOutput } from './output.ts';
import { passage, writtenTable } from './show.ts';

export interface YesNoItem extends ItemCommon {
  output: 'yes_no';
  context: string;
  until: readonly string[];
  maxTokens: number;
  parser: YesNoParser;
  /** Whether yes is right. */
  label: boolean;
}

const word = (yes: boolean) => (yes ? 'yes' : 'no');

export const yesNo = defineOutput({
  schema: z.strictObject({
    output: z.literal('yes_no'),
    ...common,
    prompt: template,
    target: template.describe('renders yes or no'),
    parser: z.enum(YES_NO_PARSERS).default('words').describe('how the written answer is read'),
    until,
    maxTokens: z.int().positive().default(16),
    metrics: metricList(metricsOf('yesNo')),
  }),
  takesPicture: true,

  make({ prompt, target, until: ends, maxTokens, parser }, compile) {
    const [asked, rendered] = [compile('prompt', prompt), compile('target', target)];
    return (values, at) => {
      const label = rendered(values).trim().toLowerCase();
      if (label !== 'yes' && label !== 'no') {
        throw new AttuneError('DATA_TARGET', { at, found: `the target "${label}"`, expected: 'yes or no' });
      }
      const how = { until: ends, maxTokens, parser, label: label === 'yes' };
      return { output: 'yes_no' as const, context: asked(values), ...how };
    };
  },

  prompts: (item: YesNoItem) => [{ context: item.context }],
  withPrompts: (item, change) => change(item),
  answered: ({ context, label }) => ({ context, continuation: ` ${word(label)}` }),

  async score(model, item, names) {
    const { parser, label } = item;
    const { text, finite, truncated, cost } = await write(model, item, item);
    const said = finite ? readYesNo(text, parser, label) : undefined;
    return {
      terms: termsOf(names, { yesNo: { said, label } }),
      logLikelihoods: [],
      text,
      ...(said !== undefined && { extracted: word(said) }),
      truncated,
      unparsable: said === undefined,
      cost,
    };
  },

  show: ({ context, picture, label }, sides) =>
    html`${passage(context)}<p class="note">${picture && html`picture ${picture.name}; `}right: ${word(label)}</p>
${writtenTable(sides, {
  what: 'answer',
  read: ({ extracted, unparsable }) => (unparsable ? 'none found' : (extracted ?? '')),
})}`,
});
