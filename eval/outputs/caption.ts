/** A caption written greedily, and which of the objects it names are in the picture. */
import { z } from 'zod';
import { scoreAmber } from '../captions/amber.ts';
import { scoreCaption } from '../captions/chair.ts';
import { type VocabularySource, vocabularyOf, vocabularySource } from '../captions/vocabulary-of.ts';
import { metrics, metricsOf, termsOf } from '../metrics/index.ts';
import { html } from '../reports/markup.ts';
import { write } from '../scoring/encode.ts';
import type { ItemCommon } from '../tasks/item.ts';
import { parseList } from '../tasks/render.ts';
import { common, metricList, template, until } from '../tasks/schema.ts';
import { defineOutput } from './output.ts';
import { passage, writtenTable } from './show.ts';

export interface CaptionItem extends ItemCommon {
  output: 'caption';
  context: string;
  until: readonly string[];
  maxTokens: number;
  /** What is there. */
  objects: readonly string[];
  /** What annotators expected to be imagined (AMBER). */
  imagined: readonly string[];
  vocabulary: VocabularySource;
}

export const caption = defineOutput({
  schema: z.strictObject({
    output: z.literal('caption'),
    ...common,
    shots: z.undefined().optional(),
    prompt: template,
    target: template.describe('renders a JSON list of the objects that are there'),
    imagined: template
      .optional()
      .describe('renders a JSON list of objects that annotators expected to be imagined (cog)'),
    vocabulary: z
      .union([
        z.array(z.array(z.string().min(1)).min(1)).min(1),
        z.strictObject({ synonyms: z.string().min(1) }),
        z.strictObject({ relation: z.string().min(1), safeWords: z.string().min(1) }),
      ])
      .describe(
        'which words are objects: rows of a name and its synonyms, a file of them, or AMBER’s relations and safe words',
      ),
    until,
    maxTokens: z.int().positive(),
    metrics: metricList(metricsOf('caption', 'amber')),
  }),
  takesPicture: true,

  check(task, refuse) {
    const own = task.metrics.find((name) => metrics[name].of.caption === undefined);
    if (own && !('relation' in task.vocabulary)) refuse('metrics', `${own} needs AMBER’s vocabulary`);
  },

  make(task, compile, { root }) {
    const [prompt, target] = [compile('prompt', task.prompt), compile('target', task.target)];
    const vocabulary = vocabularySource(task.vocabulary, root);
    const imagined = task.imagined === undefined ? undefined : compile('imagined', task.imagined);
    return (values, at) => ({
      output: 'caption' as const,
      context: prompt(values),
      until: task.until,
      maxTokens: task.maxTokens,
      objects: parseList(target(values), at),
      imagined: imagined ? parseList(imagined(values), at) : [],
      vocabulary,
    });
  },

  prompts: (item: CaptionItem) => [{ context: item.context }],
  withPrompts: (item, change) => change(item),

  async score(model, item, names) {
    const { vocabulary, amber: words } = vocabularyOf(item.vocabulary);
    const { text, finite, truncated, cost } = await write(model, item, item);
    const truth = new Set(item.objects.map((name) => vocabulary.nameOf(name)));
    const named = scoreCaption(text, truth, vocabulary);
    const amber = words && scoreAmber(text, { truth: item.objects, hallu: item.imagined }, words, vocabulary);
    const absent = amber ? amber.hallucinated : named.hallucinated.map(({ object }) => object);
    return {
      // What was not written has no hallucination to count; a caption that broke off is in the unparsable ones.
      terms: finite ? termsOf(names, { ...(amber && { amber }), caption: named }) : {},
      logLikelihoods: [],
      text,
      absent: [...new Set(absent)],
      truncated,
      unparsable: !finite,
      cost,
    };
  },

  show: ({ context, picture, objects }, sides) =>
    html`${passage(context)}<p class="note">${picture && html`picture ${picture.name}; `}right: ${objects.join(', ')}</p>
${writtenTable(sides, {
  what: 'not there',
  read: ({ absent, unparsable }) => (unparsable ? 'none found' : (absent?.join(', ') ?? '')),
})}`,
});
