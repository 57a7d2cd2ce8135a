/**
 * # Turn a dial while the model runs
 *
 * ZeroTuning scales the attention to the first token by γ, per head. γ is an input of the edited graph: changing it,
 * switching it off or using it for one call builds nothing.
 *
 *     npx tsx examples/02-zerotuning.ts
 */
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer } from '@huggingface/transformers';
import { attune, interventionFromJSON, zeroTuning } from '../index.ts';

const folder = fileURLToPath(new URL('../testbed/fixtures/llama-gqa', import.meta.url));
const tokenizer = await AutoTokenizer.from_pretrained(folder);
await using model = await attune(AutoModelForCausalLM, folder, {
  dtype: 'fp32',
  interventions: [zeroTuning({ gamma: 1 })],
});
const inputs = tokenizer('once upon a time there was a fox');
/** The likeliest next token, its probability, and the entropy of the whole distribution in nats. */
async function next(): Promise<string> {
  const { logits } = await model(inputs);
  const [, S, V] = logits.dims as [number, number, number];
  const last = Array.from((logits.data as Float32Array).subarray((S - 1) * V));
  const top = Math.max(...last);
  const sum = last.reduce((total, x) => total + Math.exp(x - top), 0);
  const p = last.map((x) => Math.exp(x - top) / sum);
  const entropy = -p.reduce((total, x) => total + (x > 0 ? x * Math.log(x) : 0), 0);
  const token = last.indexOf(top);
  return `next ${JSON.stringify(tokenizer.decode([token]))} p ${p[token]!.toFixed(4)}, entropy ${entropy.toFixed(4)}`;
}

// The same prompt under five settings of one session.
for (const gamma of [0.25, 0.5, 1, 2, 4]) {
  model.use([zeroTuning({ gamma })]);
  console.log(`γ = ${gamma}: ${await next()}`);
}

// Only some heads, and only for what runs on this view of the model.
const some = zeroTuning({ gamma: 3, layers: [0], heads: [0, 2] });
model.use([]);
console.log(`two heads of layer 0: ${await model.using([some], next)}`);
console.log(`afterwards: ${await next()}`);

// A specification is data: it survives JSON and is named by its hash.
const copy = interventionFromJSON(JSON.parse(JSON.stringify(some)));
console.log(
  `${JSON.stringify(copy)} has hash ${copy.hash.slice(0, 8)}, as before: ${copy.hash === some.hash}`,
);
