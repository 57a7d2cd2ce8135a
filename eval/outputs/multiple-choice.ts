/**
 * Multiple choice by log-likelihood, as lm-evaluation-harness 0.4.13 scores it (`ConfigurableTask.process_results`):
 * every metric is an arg-max over options of ℓ = ln p(continuation | context), in some measure, and the first of equal
 * options wins.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { metrics, metricsOf, termsOf } from '../metrics/index.ts';
import { type ChoicesOutcome, isRanked, isRight, type Outcomes } from '../metrics/outcomes.ts';
import { html } from '../reports/markup.ts';
import type { ItemCommon, Option, Segments } from '../tasks/item.ts';
import { goldOf, listMaker, promptMaker } from '../tasks/render.ts';
import { common, listOf, metricList, segments, template } from '../tasks/schema.ts';
import { defineOutput } from './output.ts';
import { choicesOutcome, predictionOf, rankOptions, withoutPrompt } from './ranked-options.ts';
import { finite } from './score.ts';
import { LEGEND, optionTable } from './show.ts';

export interface MultipleChoiceItem extends ItemCommon {
  output: 'multiple_choice';
  options: Option[];
  /** Of the prompt, where the options have one prompt and the task cuts it. */
  segments?: Segments | undefined;
  /** Index of the right option, the first of them where there are several. */
  gold: number;
  /** Indices of all that are right, where there may be several. */
  right?: readonly number[];
  /** Index of the option that is a yes, where precision and recall are asked for. */
  positive?: number;
}

export const multipleChoice = defineOutput({
  schema: z.strictObject({
    output: z.literal('multiple_choice'),
    ...common,
    prompt: z
      .union([template, segments, z.array(template).min(2)])
      .describe('one for all choices, or one for each choice'),
    choices: listOf(1),
    target: template.describe('renders the right choice, or a JSON list of the indices of right ones'),
    targetIs: z.enum(['index', 'text', 'indices']).default('index'),
    positive: z
      .int()
      .nonnegative()
      .optional()
      .describe('index of the choice that is a yes; precision, recall, f1 and yes_rate need it'),
    metrics: metricList(metricsOf('choices', 'yesNo')),
  }),
  takesPicture: true,

  check(task, refuse) {
    if (task.positive !== undefined) return;
    const needing = task.metrics.find((name) => metrics[name].of.choices === undefined);
    if (needing) refuse('metrics', `${needing} needs "positive", the index of the choice that is a yes`);
  },

  make({ prompt, choices, target, targetIs, positive, delimiter }, compile) {
    const prompts = [prompt].flat().map((one) => promptMaker(one, compile));
    const texts = listMaker('choices', choices, compile);
    const rendered = compile('target', target);
    return (values, at) => {
      const made = prompts.map((one) => one(values, at));
      const contexts = made.map(({ context }) => context);
      const options = pair(contexts, texts(values, at), at).map(
        ({ context, text }): Option => ({ context, continuation: delimiter + text, text }),
      );
      const cut = made[0]!.segments;
      const wanted = rendered(values).trim();
      const right = targetIs === 'indices' ? indicesOf(wanted, options, at) : undefined;
      return {
        output: 'multiple_choice' as const,
        options,
        ...(cut && { segments: cut }),
        ...(positive !== undefined && { positive }),
        gold: right ? right[0]! : goldOf(targetIs === 'text' ? 'text' : 'index', wanted, options, at),
        ...(right && { right }),
      };
    };
  },

  prompts: ({ options, segments: cut }: MultipleChoiceItem) =>
    cut
      ? [{ context: options[0]!.context, segments: cut }]
      : [...new Set(options.map(({ context }) => context))].map((context) => ({ context })),

  withPrompts(item, change) {
    const { options, segments: cut } = item;
    const changed = cut && change({ context: options[0]!.context, segments: cut }).segments;
    return { ...item, options: options.map(change), ...(changed && { segments: changed }) };
  },

  answered: ({ options, gold }) => options[gold]!,

  async score(model, item, names) {
    const mutual = names.includes('acc_mutual_info');
    const { outcome, prediction, truncated, cost } = await rankOptions(model, item, mutual);
    return {
      terms: termsOf(names, outcomesOf(item, outcome)),
      logLikelihoods: outcome.conditional.map(finite),
      ...(outcome.unconditional && { unconditional: outcome.unconditional.map(finite) }),
      ...(prediction !== undefined && { prediction }),
      truncated,
      unparsable: !isRanked(outcome),
      cost,
    };
  },

  calibration: {
    metrics: metricsOf('choices').filter((name) => !metrics[name].needsGreedy),
    requests: ({ options }, metric) =>
      metric === 'acc_mutual_info' ? [...options, ...options.map(withoutPrompt)] : options,
    outcome: (item, logLikelihoods) => outcomesOf(item, choicesOutcome(item, logLikelihoods)),
    margin: (item, logLikelihoods) =>
      lnSum(item.options.flatMap((_, i) => (isRight(item, i) ? [logLikelihoods[i]!] : []))) -
      lnSum(item.options.flatMap((_, i) => (isRight(item, i) ? [] : [logLikelihoods[i]!]))),
  },

  title: ({ options }) => options.map(({ text }) => text).join(' / '),

  show: (item, sides) =>
    html`${optionTable(item, sides, 0, [sides.before.prediction, sides.after.prediction])}${LEGEND}`,
});

/** ln Σ exp(l) of a few. */
function lnSum(values: readonly number[]): number {
  const largest = Math.max(...values);
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

/** Where one of the options is a yes, choosing it is saying yes. */
function outcomesOf({ gold, positive }: MultipleChoiceItem, choices: ChoicesOutcome): Partial<Outcomes> {
  if (positive === undefined) return { choices };
  const prediction = predictionOf(choices);
  const said = prediction === undefined ? undefined : prediction === positive;
  return { choices, yesNo: { said, label: gold === positive } };
}

/** One prompt serves all choices; several prompts take one choice each, or share the only one. */
function pair(contexts: string[], texts: string[], at: string): { context: string; text: string }[] {
  const n = Math.max(contexts.length, texts.length);
  const fits = [contexts, texts].every(({ length }) => length === n || length === 1);
  if (n < 2 || texts.length === 0 || !fits || texts.includes('')) {
    throw new AttuneError('DATA_CHOICES', {
      at,
      found: texts.includes('')
        ? 'an empty choice'
        : `${texts.length} choices for ${contexts.length} prompts`,
      expected:
        contexts.length > 1 ? `1 or ${contexts.length} choices with text` : 'at least 2 choices with text',
    });
  }
  return Array.from({ length: n }, (_, i) => ({
    context: contexts[contexts.length === 1 ? 0 : i] as string,
    text: texts[texts.length === 1 ? 0 : i] as string,
  }));
}

/** Some of the options, not all: choosing among right ones alone says nothing. */
function indicesOf(rendered: string, options: Option[], at: string): number[] {
  let list: unknown;
  try {
    list = JSON.parse(rendered);
  } catch {
    list = undefined;
  }
  const fits =
    Array.isArray(list) &&
    list.length > 0 &&
    list.length < options.length &&
    new Set(list).size === list.length &&
    list.every((index) => Number.isInteger(index) && index >= 0 && index < options.length);
  if (fits) return list as number[];
  throw new AttuneError('DATA_TARGET', {
    at,
    found: `the target "${rendered.slice(0, 80)}"`,
    expected: `a JSON list of some, not all, of the indices from 0 to ${options.length - 1}`,
  });
}
