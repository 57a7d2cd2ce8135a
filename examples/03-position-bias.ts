/**
 * # Documents in any order
 *
 * A decoder's answer changes when the documents of its prompt change places. PINE lets documents see each other and leaves
 * their order to the model: every order gives one answer, to rounding. NIA and PCW are the baselines of its paper.
 *
 *     npx tsx examples/03-position-bias.ts
 */
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer } from '@huggingface/transformers';
import { attune, pine, segmentPrompt, splitAtMarkers } from '../index.ts';

const folder = fileURLToPath(new URL('../testbed/models/worlds-lm', import.meta.url));
const tokenizer = await AutoTokenizer.from_pretrained(folder);
await using model = await attune(AutoModelForCausalLM, folder, { dtype: 'fp32' });

// A text taken apart at its markers; each document is encoded alone, so that its tokens do not depend on its place.
const text = `Documents:
- Nora Holt lives in Marl.
- Nora Reed lives in Tarn.
- Rufus Pike lives in Osby.
Question: In which town does Nora Reed live?
Answer:`;
const pieces = splitAtMarkers(text, { begin: '- ', end: 'Question:' });
console.log(`${pieces.documents.length} documents`);

/** The likeliest next token and its probability. */
async function answer(inputs: object): Promise<{ token: number; p: number; logits: number[] }> {
  const { logits } = await model(inputs);
  const [, S, V] = logits.dims as [number, number, number];
  const last = Array.from((logits.data as Float32Array).subarray((S - 1) * V));
  const top = Math.max(...last);
  const sum = last.reduce((total, x) => total + Math.exp(x - top), 0);
  return { token: last.indexOf(top), p: 1 / sum, logits: last };
}

const ORDERS = [
  [0, 1, 2],
  [1, 0, 2],
  [2, 0, 1],
  [0, 2, 1],
];
for (const mode of ['untouched', 'nia', 'pcw', 'pine'] as const) {
  const answers = [];
  for (const order of ORDERS) {
    const documents = order.map((j) => pieces.documents[j]!);
    const prompt = segmentPrompt(tokenizer, { ...pieces, documents });
    model.use(mode === 'untouched' ? [] : [pine({ mode, documents: prompt.documents })]);
    answers.push(await answer(prompt));
  }
  const [first, ...others] = answers;
  const spread = Math.max(
    ...others.flatMap(({ logits }) => logits.map((x, i) => Math.abs(x - first!.logits[i]!))),
  );
  const words = answers.map(({ token, p }) => `${tokenizer.decode([token]).trim()} ${p.toFixed(3)}`);
  console.log(`${mode}: ${words.join(' | ')}; logits differ by ${spread.toFixed(4)} at most`);
}
