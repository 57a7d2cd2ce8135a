/** The text world as tasks: balanced, the same items as the generator's, cut where the generator cuts. */
import { AutoTokenizer } from '@huggingface/transformers';
import { expect, test } from 'vitest';
import { textItems } from '../../data/worlds/text/index.ts';
import type { Item } from '../../outputs/index.ts';
import { hasDocuments } from '../../outputs/index.ts';
import { encodePair } from '../../scoring/encode.ts';
import type { LanguageModel } from '../../scoring/language-model.ts';
import { type LoadOptions, loadItems } from '../items.ts';
import { builtinTasks } from './index.ts';

const load = async (name: string, options: Partial<LoadOptions> = {}) =>
  loadItems(builtinTasks.get(name)!, { root: '', limit: 60, ...options });

const count = <K>(keys: readonly K[]) => {
  const counts = new Map<K, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
};

test.each([
  ['worlds-sentiment', 2, false],
  ['worlds-topic', 6, false],
  ['worlds-choice', 4, true],
  ['worlds-documents', 5, true],
  ['worlds-documents-3', 3, true],
  ['worlds-documents-10', 10, true],
] as const)('%s: %i answers, each right equally often, in clusters; parts: %s', async (name, k, parts) => {
  const { items, total, split } = await load(name);
  expect([items.length, total, split]).toEqual([60, 3000, 'test']);
  expect([...count(items.map((item) => 'gold' in item && item.gold)).values()]).toEqual(
    Array(k).fill(60 / k),
  );
  expect([...count(items.map(({ cluster }) => cluster)).values()]).toEqual(Array(60 / k).fill(k));
  expect(items.every(hasDocuments)).toBe(parts);
  for (const item of items) {
    if (item.output !== 'multiple_choice') throw new Error(item.output);
    expect(new Set(item.options.map(({ continuation }) => continuation)).size).toBe(k);
    if (!parts) continue;
    const { prefix, parts: documents, suffix } = item.segments!;
    expect(prefix + documents.join('') + suffix).toBe(item.options[0]!.context);
    expect(item.position).toBe(item.gold);
  }
});

test('the items are those of the generator, whose splits and seeds are other items', async () => {
  const expected = textItems('documents', 'validation', 60, 3);
  const { items, split } = await load('worlds-documents', { split: 'validation', seed: 3 });
  expect(split).toBe('validation');
  expect(items.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
  expect(items.map((item) => 'options' in item && item.options[0]!.context)).toEqual(
    expected.map(({ prompt }) => prompt),
  );
  const test = await load('worlds-documents');
  expect(test.items.some(({ id }) => items.some((other) => other.id === id))).toBe(false);
  await expect(load('worlds-documents', { split: 'dev' })).rejects.toMatchObject({ code: 'TASK_SPLIT' });
});

test('a smaller limit gives the first items of a larger one', async () => {
  const [few, many] = [await load('worlds-topic', { limit: 6 }), await load('worlds-topic', { limit: 12 })];
  expect(many.items.slice(0, 6)).toEqual(few.items);
});

test('worlds-judge: one item a pair, the second order as the generator shows it', async () => {
  const { items } = await load('worlds-judge', { limit: 30 });
  const pairs = textItems('judge', 'test', 60);
  items.forEach((item, i) => {
    if (item.output !== 'pairwise') throw new Error(item.output);
    expect(item.orders.map(({ options, gold }) => [options[0]!.context, gold])).toEqual(
      pairs.slice(2 * i, 2 * i + 2).map(({ prompt, gold }) => [prompt, gold]),
    );
    expect(item.orders[0]!.options.map(({ continuation }) => continuation)).toEqual(pairs[0]!.choices);
  });
});

test('worlds-story: whole stories', async () => {
  const { items } = await load('worlds-story', { limit: 3 });
  expect(items.map((item) => 'text' in item && item.text)).toEqual(
    textItems('story', 'test', 3).map(({ target }) => target),
  );
});

test('in pieces the prompts are the tokens they are as a whole, and the documents lie where their text lies', async () => {
  const folder = new URL('../../../testbed/models/worlds-lm', import.meta.url).pathname;
  const tokenizer = await AutoTokenizer.from_pretrained(folder, { local_files_only: true });
  const model = {
    prefixToken: tokenizer.bos_token_id,
    encode: (text: string, { specialTokens = true } = {}) =>
      tokenizer.encode(text, { add_special_tokens: specialTokens }),
  } as unknown as LanguageModel;
  const promptsOf = (item: Item) =>
    item.output === 'pairwise' ? item.orders : item.output === 'multiple_choice' ? [item] : [];
  let seen = 0;
  for (const name of ['worlds-documents', 'worlds-choice', 'worlds-judge']) {
    for (const { options, segments } of (await load(name)).items.flatMap(promptsOf)) {
      const { context, continuation } = options[0]!;
      const { documents, ...pieces } = encodePair(model, context, continuation, segments);
      expect(pieces).toEqual(encodePair(model, context, continuation));
      expect(documents!.map(([from, to]) => tokenizer.decode(pieces.context.slice(from, to)))).toEqual(
        segments!.parts,
      );
      seen += 1;
    }
  }
  expect(seen).toBe(240);
});
