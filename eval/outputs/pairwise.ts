/**
 * Judging which of two answers is better, asked twice: as given and swapped. A judge without position bias says the same
 * of both orders.
 */
import { z } from 'zod';
import { metricsOf, termsOf } from '../metrics/index.ts';
import { isRight, type PairOutcome } from '../metrics/outcomes.ts';
import { html } from '../reports/markup.ts';
import { addCosts } from '../scoring/language-model.ts';
import type { ItemCommon, Option, Segments } from '../tasks/item.ts';
import { goldOf, promptMaker } from '../tasks/render.ts';
import { common, metricList, prompt, template } from '../tasks/schema.ts';
import { defineOutput } from './output.ts';
import { choicesOutcome, predictionOf, rankOptions } from './ranked-options.ts';
import { finite } from './score.ts';
import { LEGEND, optionTable } from './show.ts';

/** The two answers in one order; `gold` is the better one by its place in it. */
export interface Order {
  options: Option[];
  segments?: Segments | undefined;
  gold: number;
}

export interface PairwiseItem extends ItemCommon {
  output: 'pairwise';
  /** As given, and swapped. */
  orders: Order[];
}

export const pairwise = defineOutput({
  schema: z.strictObject({
    output: z.literal('pairwise'),
    ...common,
    candidates: z.tuple([template, template]).describe('the two answers to judge'),
    prompt: prompt.describe('reads also `first` and `second`, the candidates in the order they are shown in'),
    choices: z
      .tuple([template, template])
      .describe('what is scored for "the first is better" and "the second is better"'),
    target: template.describe('renders the index of the better candidate'),
    metrics: metricList(metricsOf('pair')),
  }),
  takesPicture: false,

  make({ candidates, prompt: asked, choices, target, delimiter }, compile) {
    const answers = candidates.map((candidate) => compile('candidates', candidate));
    const labels = choices.map((choice) => compile('choices', choice));
    const ask = promptMaker(asked, compile, ['first', 'second']);
    const better = compile('target', target);
    return (values, at) => {
      const [one, two] = answers.map((answer) => answer(values)) as [string, string];
      const shown = (first: string, second: string) => {
        const { context, ...cut } = ask({ ...values, first, second }, at);
        const options = labels.map((label): Option => {
          const text = label(values);
          return { context, continuation: delimiter + text, text };
        });
        return { options, ...cut };
      };
      const given = shown(one, two);
      const gold = goldOf('index', better(values).trim(), given.options, at);
      const orders: Order[] = [
        { ...given, gold },
        { ...shown(two, one), gold: 1 - gold },
      ];
      return { output: 'pairwise' as const, orders };
    };
  },

  prompts: ({ orders }: PairwiseItem) =>
    orders.map(({ options, segments }) => ({ context: options[0]!.context, segments })),

  withPrompts: (item, change) => ({
    ...item,
    orders: item.orders.map((order) => {
      const { options, segments } = order;
      const cut = segments && change({ context: options[0]!.context, segments }).segments;
      return { ...order, options: options.map(change), ...(cut && { segments: cut }) };
    }),
  }),

  answered: ({ orders: [given] }) => given!.options[given!.gold]!,

  async score(model, { orders, shots }, names) {
    const ranked = (order: Order) => rankOptions(model, { ...order, shots });
    const [given, swapped] = [await ranked(orders[0]!), await ranked(orders[1]!)];
    const outcomes = [given.outcome, swapped.outcome];
    const pair = pairOutcome(outcomes);
    return {
      terms: termsOf(names, { pair }),
      logLikelihoods: outcomes.flatMap(({ conditional }) => conditional.map(finite)),
      verdicts: pair.verdicts.map((verdict) => verdict ?? null),
      truncated: given.truncated || swapped.truncated,
      unparsable: pair.verdicts.includes(undefined),
      cost: addCosts(given.cost, swapped.cost),
    };
  },

  calibration: {
    metrics: ['pair_acc'],
    requests: ({ orders }) => orders.flatMap(({ options }) => options),
    outcome: ({ orders }, logLikelihoods) => ({
      pair: pairOutcome(
        orders.map((order, k) => choicesOutcome(order, logLikelihoods.slice(2 * k, 2 * k + 2))),
      ),
    }),
  },

  show: ({ orders }, sides) =>
    html`${orders.map((order, k) => {
      const verdicts = [sides.before, sides.after].map(({ verdicts }) => verdicts?.[k]);
      return html`<h3>${k === 0 ? 'As given' : 'Swapped'}</h3>${optionTable(order, sides, 2 * k, verdicts)}`;
    })}${LEGEND}`,
});

/** @param outcomes of the two orders */
function pairOutcome(outcomes: readonly Parameters<typeof predictionOf>[0][]): PairOutcome {
  const verdicts = outcomes.map(predictionOf);
  const right = outcomes.filter((outcome, k) => verdicts[k] !== undefined && isRight(outcome, verdicts[k]!));
  return { right: right.length, verdicts };
}
