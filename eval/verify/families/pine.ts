/**
 * Documents in every order: the untouched model tells the orders apart, with PINE all give one answer. What is chosen
 * inside (importances, orders) has no hook point; it decides everything that is compared here.
 */
import { z } from 'zod';
import { pine } from '../../../interventions/index.ts';
import { defineFamily } from '../family.ts';
import { greedy, ids, matrix, tensor, vector } from '../golden.ts';
import { greedyDifferences, lastLogits, maxAbsError, meanNllFrom } from '../measure.ts';
import { batchOf, type Subject } from '../subject.ts';
import { observeLast } from './plain.ts';

const run = z.object({ last_logits: tensor(vector), suffix_nll: z.number(), greedy });
type Run = z.output<typeof run>;

const order = z.object({
  order: z.array(z.int().nonnegative()),
  causal_last_logits: tensor(vector),
  causal_suffix_nll: z.number(),
  causal_greedy: greedy,
});

export const documents = defineFamily({
  name: 'pine',
  kinds: [pine.kind],
  schema: run.extend({
    prefix_ids: ids,
    document_ids: z.array(ids),
    suffix_ids: ids,
    orders: z.array(order),
    head_z_last: tensor(z.array(matrix)),
    residual_last: tensor(matrix),
  }),
  async *compare(expected, subject) {
    const { prefix_ids, document_ids, suffix_ids } = expected;
    for (const { order, ...causal } of expected.orders) {
      const pieces = order.map((j) => document_ids[j]!);
      const prompt = [...prefix_ids, ...pieces.flat(), ...suffix_ids];
      const suffix = prompt.length - suffix_ids.length;
      const plain = {
        last_logits: causal.causal_last_logits,
        suffix_nll: causal.causal_suffix_nll,
        greedy: causal.causal_greedy,
      };
      yield* await compareSuffix(`untouched ${order}`, plain, prompt, suffix, subject);
      let at = prefix_ids.length;
      const spans = pieces.map(({ length }): [number, number] => {
        const start = at;
        at += length;
        return [start, at];
      });
      yield* await subject.under([pine({ documents: spans })], async () => {
        const seen = await observeLast(subject, prompt);
        return [
          ...(await compareSuffix(`${order}`, expected, prompt, suffix, subject)),
          ...(['head_z_last', 'residual_last'] as const).map((quantity) => ({
            case: `${order} ${quantity}`,
            maxAbsError: maxAbsError(seen[quantity], expected[quantity].data),
            tolerance: subject.tolerance(quantity),
          })),
        ];
      });
    }
  },
});

/** The suffix as its own tokens predict it, its last logits, and what follows. */
async function compareSuffix(
  name: string,
  expected: Run,
  prompt: readonly number[],
  suffix: number,
  subject: Subject,
) {
  const batch = batchOf([prompt]);
  const logits = await subject.logits(batch);
  const [tokens] = await subject.greedy(batch, expected.greedy.ids.length);
  return [
    {
      case: `${name} last_logits`,
      maxAbsError: maxAbsError(lastLogits(logits), expected.last_logits.data),
      tolerance: subject.tolerance('last_logits'),
    },
    {
      case: `${name} suffix_nll`,
      maxAbsError: Math.abs(meanNllFrom(logits, prompt, suffix + 1) - expected.suffix_nll),
      tolerance: subject.tolerance('suffix_nll'),
    },
    { case: `${name} greedy`, maxAbsError: greedyDifferences(tokens!, expected.greedy), tolerance: 0 },
  ];
}
