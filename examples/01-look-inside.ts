/**
 * # Look inside a model
 *
 * Any ONNX decoder in Hub layout will do; this one is tiny, has random weights and ships with the repository. Run it:
 *
 *     npx tsx examples/01-look-inside.ts
 */
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer, type Tensor } from '@huggingface/transformers';
import { attune } from '../index.ts';

const folder = fileURLToPath(new URL('../testbed/fixtures/llama-gqa', import.meta.url));
const tokenizer = await AutoTokenizer.from_pretrained(folder);
await using model = await attune(AutoModelForCausalLM, folder, { dtype: 'fp32' });

// What can be read? Names follow TransformerLens.
console.log(
  `${model.attune.hookNames.length} hook points, among them ${model.attune.hookNames.slice(0, 3).join(', ')}`,
);

// Read the attention pattern of every layer. The model's own output is not changed by this.
const inputs = tokenizer('the cat sat on the mat');
const { cache } = await model.runWithCache(inputs, 'blocks.*.attn.hook_pattern');

// [B, H, S, T]: how much of each row goes to the first token, head by head?
for (const [name, { dims, data }] of cache) {
  const [, H, S, T] = dims as [number, number, number, number];
  const toFirst = Array.from({ length: H }, (_, h) => {
    const rows = Array.from({ length: S }, (_, s) => data[(h * S + s) * T]!);
    return rows.reduce((a, b) => a + b, 0) / S;
  });
  console.log(`${name}: ${toFirst.map((share) => share.toFixed(3)).join(' ')}`);
}

// Replace a value while generating: what does the model say without the second layer's attention?
const generate = (of: typeof model) => of.generate({ ...inputs, max_new_tokens: 8, do_sample: false });
const text = async (run: () => ReturnType<typeof generate>) =>
  tokenizer.batch_decode((await run()) as Tensor, { skip_special_tokens: true })[0];

console.log('untouched:', await text(() => generate(model)));
console.log(
  'ablated:  ',
  await text(() => model.runWithHooks([['blocks.1.attn.hook_z', ({ data }) => data.map(() => 0)]], generate)),
);
