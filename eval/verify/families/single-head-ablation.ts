/** Mean loss of a prompt with one head removed, for every head: all of them as rows of a few batches. */
import { z } from 'zod';
import { eachRow, headAblation } from '../../../interventions/index.ts';
import { defineFamily } from '../family.ts';
import { matrix, tensor } from '../golden.ts';
import { maxAbsError, meanNll } from '../measure.ts';
import { batchOf, type Subject } from '../subject.ts';

/** Rows per batch: logits of all rows are in memory at once. */
const ROWS = 40;

const kase = z.object({
  prompt: z.string(),
  base_mean_nll: z.number(),
  mean_nll_zero: tensor(matrix),
  mean_nll_uniform: tensor(matrix),
});

export const singleHeadAblation = defineFamily({
  name: 'single_head_ablation',
  kinds: [headAblation.kind],
  schema: z.array(kase),
  async *compare(cases, subject) {
    for (const expected of cases) {
      const ids = subject.prompt(expected.prompt);
      const base = meanNll(await subject.logits(batchOf([ids])), ids);
      yield {
        case: `${expected.prompt} base_mean_nll`,
        maxAbsError: Math.abs(base - expected.base_mean_nll),
        tolerance: subject.tolerance('base_mean_nll'),
      };
      for (const kind of ['zero', 'uniform'] as const) {
        const quantity = `mean_nll_${kind}` as const;
        yield {
          case: `${expected.prompt} ${quantity}`,
          maxAbsError: maxAbsError(await losses(subject, ids, kind), expected[quantity].data),
          tolerance: subject.tolerance(quantity),
        };
      }
    }
  },
});

/** [layer · H + head] */
async function losses(subject: Subject, ids: readonly number[], kind: 'zero' | 'uniform'): Promise<number[]> {
  const settings = subject.model.attune.facts.decoder.flatMap(({ numHeads }, layer) =>
    Array.from({ length: numHeads }, (_, head) => headAblation({ heads: [[layer, head]], kind })),
  );
  const result: number[] = [];
  for (let from = 0; from < settings.length; from += ROWS) {
    const rows = settings.slice(from, from + ROWS);
    const logits = await subject.under([eachRow(rows)], () => subject.logits(batchOf(rows.map(() => ids))));
    result.push(...rows.map((_, row) => meanNll(logits, ids, row)));
  }
  return result;
}
