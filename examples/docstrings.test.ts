/** Examples in the documentation of what the root exports: each runs as it is written, on the repository's models. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as transformers from '@huggingface/transformers';
import { transformSync } from 'esbuild';
import { afterAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { pictureItems, render } from '../eval/data/worlds/pictures/index.ts';
import * as root from '../index.ts';
import * as kit from '../interventions/kit.ts';
import { examplesInside, rootExamples } from './docstring-examples.test-support.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));
const folder = join(repository, 'testbed/models/worlds-lm');
const vlmFolder = join(repository, 'testbed/models/worlds-vlm');
const { AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, RawImage } =
  transformers;

/** What examples may name besides what attune and transformers.js export. */
const tokenizer = await AutoTokenizer.from_pretrained(folder);
// What is cheap is compiled in at once: one session for many examples.
const { emphasis, headScale, tempScale, zeroTuning } = root;
const prepare = [emphasis, headScale, tempScale, zeroTuning].map(({ kind }) => kind);
const model = await root.attune(AutoModelForCausalLM, folder, { dtype: 'fp32', prepare });
const vlm = await root.attune(AutoModelForImageTextToText, vlmFolder, { dtype: 'fp32' });
afterAll(async () => {
  await model.dispose();
  await vlm.dispose();
});
const scope = {
  model,
  tokenizer,
  folder,
  vlm,
  inputs: tokenizer('The fox is in the garden.'),
  imageInputs: await picture(),
  passages: ['The fox lives in the garden.', 'The owl lives in the barn.'],
  question: 'Where is the fox?',
  messages: [
    { role: 'system', content: 'Answer in one word.' },
    { role: 'user', content: 'Where is the fox?' },
  ],
};

async function picture() {
  const processor = await AutoProcessor.from_pretrained(vlmFolder);
  const [item] = pictureItems('caption', 'calibration', 1, 0);
  const { data, width, height } = render(item!.scene);
  const content = [{ type: 'image' }, { type: 'text', text: item!.prompt }];
  const text = processor.apply_chat_template([{ role: 'user', content }], { add_generation_prompt: true });
  return processor(new RawImage(Uint8ClampedArray.from(data), width, height, 3), text as string, {
    add_special_tokens: false,
  });
}

const examples = rootExamples(Object.keys(root));

test('every function that the root exports has an example, and so have the methods of a model', () => {
  const shown = new Set(examples.map(({ name }) => name));
  // The function itself is declared as an interface.
  expect(Object.keys(root).filter((name) => name !== 'attune' && !shown.has(name))).toEqual([]);
  expect(examplesInside('Attune').length).toBeGreaterThan(0);
  expect(examplesInside('AttunedModel').length).toBeGreaterThan(7);
});

/** What it prints, one entry for each console.log. */
const run = async (code: string): Promise<string[]> => {
  const names = { ...transformers, ...kit, ...root, ...scope, z };
  const js = transformSync(`async function example() {\n${code}\n}`, { loader: 'ts', format: 'esm' }).code;
  const said: string[] = [];
  vi.spyOn(console, 'log').mockImplementation(
    (...words) =>
      void said.push(
        words.map((word) => (typeof word === 'string' ? word : `${JSON.stringify(word)}`)).join(' '),
      ),
  );
  try {
    await new Function(...Object.keys(names), `${js}\nreturn example();`)(...Object.values(names));
  } finally {
    vi.restoreAllMocks();
    model.use([]);
    vlm.use([]);
  }
  return said;
};

test.each(examples)('$name: $code', async ({ code }) => {
  expect((await run(code)).join('\n')).not.toMatch(/undefined|\[object/);
});

test('docs/requests.md: pipelines and chats', async () => {
  const page = readFileSync(join(repository, 'docs/requests.md'), 'utf8');
  const [, section = ''] = /## Pipelines and chats\n([\s\S]*?)\n## /.exec(page) ?? [];
  const blocks = [...section.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
  expect(blocks.length).toBe(2);
  const said = await run(`const id = folder;\n${blocks.join('\n')}\nawait model.dispose();`);
  expect(said.length).toBe(2);
  expect(said[0]).toMatch(/"assistant".*"assistant".*"assistant"/s);
});
