/** Prompts of different length in one batch, padded on the left: each row as if it were alone. */
import { z } from 'zod';
import { defineFamily } from '../family.ts';
import { greedy, ids, matrix, tensor } from '../golden.ts';
import { greedyDifferences, lastLogits, maxAbsError } from '../measure.ts';
import { batchOf } from '../subject.ts';

export const leftPadding = defineFamily({
  name: 'left_padding',
  schema: z.object({
    prompts: z.array(z.string()),
    padded_ids: tensor(z.array(ids)),
    attention_mask: tensor(matrix),
    last_logits: tensor(matrix),
    greedy: z.array(greedy),
  }),
  async *compare({ prompts, padded_ids, attention_mask, last_logits, greedy }, subject) {
    const batch = batchOf(padded_ids.data, attention_mask.data);
    const logits = await subject.logits(batch);
    const tokens = await subject.greedy(batch, Math.max(...greedy.map(({ ids }) => ids.length)));
    for (const [row, prompt] of prompts.entries()) {
      yield {
        case: `${prompt} last_logits`,
        maxAbsError: maxAbsError(lastLogits(logits, row), last_logits.data[row]!),
        tolerance: subject.tolerance('last_logits'),
      };
      const expected = greedy[row]!;
      const own = tokens[row]!.slice(0, expected.ids.length);
      yield { case: `${prompt} greedy`, maxAbsError: greedyDifferences(own, expected), tolerance: 0 };
    }
  },
});
