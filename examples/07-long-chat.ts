/**
 * # A chat without an end
 *
 * A cache of keys and values grows with every token, and is copied at every step. `keepCache` keeps as many keys as its budget
 * says: the first ones, and those its score likes best. Kept keys are numbered anew, so that the chat outgrows the model's context.
 *
 *     npx tsx examples/07-long-chat.ts
 */
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer, DynamicCache, Tensor } from '@huggingface/transformers';
import { attune, keepCache } from '../index.ts';

const folder = fileURLToPath(new URL('../testbed/models/worlds-lm', import.meta.url));
const tokenizer = await AutoTokenizer.from_pretrained(folder);
await using model = await attune(AutoModelForCausalLM, folder, {
  interventions: [keepCache({ score: 'window', budget: 96, sinks: 4 })],
});

let ids: bigint[] = [];
const cache = new DynamicCache();

/** The whole chat so far goes in; transformers.js runs what is new in it. */
async function turn(text: string): Promise<string> {
  ids = [...ids, ...Array.from(tokenizer(text).input_ids.data as BigInt64Array)];
  const written = (await model.generate({
    input_ids: new Tensor('int64', BigInt64Array.from(ids), [1, ids.length]),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
    past_key_values: cache,
    max_new_tokens: 12,
    do_sample: false,
    min_new_tokens: 12,
  })) as Tensor;
  const all = Array.from(written.data as BigInt64Array);
  const said = all.slice(ids.length);
  ids = all;
  return tokenizer.decode(said.map(Number), { skip_special_tokens: true });
}

for (let i = 1; i <= 40; i++) {
  const said = await turn('The box is in the kitchen. The box is in the');
  if (i % 10 > 0) continue;
  const { dims, columns } = model.attune.request.cache!.kept;
  const newest = columns.at(-1)! - dims[3] + 5;
  console.log(
    `${ids.length} tokens, ${dims[3]} keys: 0 to 3, and ${newest} to ${columns.at(-1)}; said:${said}`,
  );
}
