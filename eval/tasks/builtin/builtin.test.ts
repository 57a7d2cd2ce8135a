/** The built-in tasks against the data sets' own files, where they are at hand: counts, first prompts, balance of answers. */
import { expect, test } from 'vitest';
import { beside, onlyBeside } from '../../../testbed/only-where.test-support.ts';
import { loadItems } from '../items.ts';
import { builtinTasks } from './index.ts';

const root = beside('data');

/** Records in each set's files, as the sets' own documentation or a line count gives them. */
const COUNTS: Record<string, number> = {
  'uci-sentiment': 3000,
  boolq: 500,
  copa: 100,
  'arc-easy': 1000,
  'arc-challenge': 1172,
  hellaswag: 1000,
  'commonsense-qa': 1221,
  'openbook-qa': 500,
  siqa: 1000,
  piqa: 1838,
  winogrande: 1267,
  mmlu: 1717,
  'truthfulqa-mc1': 817,
  'truthfulqa-mc2': 817,
  'math-qa': 1000,
  'bbh-boolean-expressions': 250,
  'bbh-disambiguation-qa': 250,
  'bbh-hyperbaton': 250,
  'bbh-logical-deduction-three-objects': 250,
  'bbh-navigate': 250,
  'bbh-snarks': 178,
  'bbh-sports-understanding': 250,
  'bbh-tracking-shuffled-objects-three-objects': 250,
  blimp: 6000,
  lambada: 1000,
  'bigbench-operators': 210,
  'clinc150-domains': 4500,
  'bbh-object-counting': 250,
  'bbh-date-understanding': 250,
  gsm8k: 500,
  'xquad-en': 1190,
  // 500 records, four positions
  'kv-retrieval-75': 2000,
  'kv-retrieval-10': 2000,
  'nq-open-oracle': 2655,
  // three positions
  'nq-open-10': 7965,
  llmbar: 281,
  // 999 less 105 whose majority is a tie
  pandalm: 894,
  wikitext2: 44,
  tinyshakespeare: 200,
  'wikitext2-stream': 9,
  'tinyshakespeare-stream': 10,
  'function-vectors-abstractive': 10_697,
  'function-vectors-extractive': 5000,
  relations: 3047,
  'mt-bench': 80,
};

/** Tasks of files; those of the worlds are in worlds.test.ts, those with pictures in pictures.test.ts. */
const fromFiles = [...builtinTasks.values()].filter(({ source, image }) => 'file' in source && !image);

const loaded = new Map<string, ReturnType<typeof loadItems>>();
/** All items of a task, which are read and rendered once. */
function load(name: string): ReturnType<typeof loadItems> {
  const items = loaded.get(name) ?? loadItems(builtinTasks.get(name)!, { root });
  loaded.set(name, items);
  return items;
}

test('every built-in task has a count to be checked against', () => {
  expect(fromFiles.map(({ name }) => name).sort()).toEqual(Object.keys(COUNTS).sort());
});

onlyBeside('data').describe('with the data', () => {
  test.each(Object.entries(COUNTS))('%s: %i items, none bad, no answer always right', async (name, count) => {
    const { items, bad, total } = await load(name);
    expect([total, bad.length]).toEqual([count, 0]);
    const golds = new Set(items.flatMap((item) => ('gold' in item ? [item.gold] : [])));
    // In these the right answer is written first.
    if (items[0]?.output === 'multiple_choice' && !/^blimp|^truthfulqa/.test(name)) {
      expect(golds.size).toBeGreaterThan(1);
    }
  });

  test('uci-sentiment: its first sentence, its labels in halves, its three sites', async () => {
    const { items } = await load('uci-sentiment');
    expect(items[0]).toMatchObject({
      gold: 0,
      slice: 'imdb_labelled',
      options: [
        {
          context:
            'Review: A very, very, very slow-moving, aimless movie about a distressed, drifting young man.\nSentiment:',
          continuation: ' negative',
        },
        { continuation: ' positive' },
      ],
    });
    expect(items.filter((item) => 'gold' in item && item.gold === 1)).toHaveLength(1500);
    expect(new Set(items.map(({ slice }) => slice)).size).toBe(3);
  });

  test('hellaswag: six lines an item', async () => {
    const { items } = await load('hellaswag');
    expect(items[0]).toMatchObject({
      gold: 3,
      options: [
        {
          context: 'Roof shingle removal: A man is sitting on a roof. he',
          text: 'is using wrap to wrap a pair of skis.',
        },
        { text: 'is ripping level tiles off.' },
        { text: "is holding a rubik's cube." },
        { text: 'starts pulling up roofing on a roof.' },
      ],
    });
  });

  test('mmlu: unescaped quotes inside quoted cells', async () => {
    const { items } = await load('mmlu');
    expect(items.find(({ at }) => at === 'mmlu/astronomy_test.csv:5')).toMatchObject({
      gold: 2,
      slice: 'astronomy',
      options: [
        {
          context: expect.stringContaining(
            '\nC. You can never prove your theory to be correct only "yet to be proven wrong".\n',
          ),
        },
        {},
        {},
        {},
      ],
    });
  });

  test('truthfulqa-mc1: the best answer first, then the incorrect ones', async () => {
    const { items } = await load('truthfulqa-mc1');
    expect(items[0]).toMatchObject({
      gold: 0,
      options: { length: 8, 0: { text: expect.stringContaining('pass through') } },
    });
  });

  test('truthfulqa-mc2: the correct answers first, all of them right, then the incorrect ones', async () => {
    const { items } = await load('truthfulqa-mc2');
    const [first] = items;
    if (first?.output !== 'multiple_choice') throw new Error('another output');
    expect(first.right).toEqual([0, 1, 2, 3, 4, 5]);
    expect(first.options[2]!.text).toBe('The watermelon seeds pass through your digestive system');
    expect(first.options.slice(6).map(({ text }) => text)).toContain('You grow watermelons in your stomach');
    expect(items.filter((item) => 'right' in item && item.right!.length > 1).length).toBeGreaterThan(700);
  });

  test('piqa: labels of the other file', async () => {
    const { items } = await load('piqa');
    expect(items.slice(0, 3).map((item) => 'gold' in item && item.gold)).toEqual([0, 1, 1]);
  });

  test.each([
    ['kv-retrieval-10', 10, [0, 3, 6, 9]],
    ['kv-retrieval-75', 75, [0, 24, 49, 74]],
  ])('%s: an object of %i pairs, the one asked for at each of four places', async (name, pairs, places) => {
    const { items } = await load(name);
    for (const item of items.slice(0, 40)) {
      if (item.output !== 'generate_until') throw new Error(item.output);
      const [, json, key] = /data:\n(\{[\s\S]*\})\n\nKey: "(.*)"\n/.exec(item.context)!;
      const object: Record<string, string> = JSON.parse(json!);
      expect(Object.keys(object)).toHaveLength(pairs);
      expect(Object.keys(object).indexOf(key!)).toBe(item.position);
      expect(item.segments!.parts[item.position!]).toContain(`"${key}": "${object[key!]}"`);
      expect([object[key!]]).toEqual(item.answers);
    }
    expect(items.slice(0, 4).map(({ position }) => position)).toEqual(places);
    expect(new Set(items.slice(0, 4).map(({ cluster }) => cluster)).size).toBe(1);
  });

  test('nq-open-10: ten passages, the answering one at the place that is said', async () => {
    const items = (await load('nq-open-10')).items.slice(0, 60);
    const { items: oracle } = await load('nq-open-oracle');
    const passageOf = (at: string) => {
      const item = oracle.find((one) => one.at === at);
      return /Document \[1\]\((.*)\n\nQuestion:/.exec('context' in item! ? item.context : '')![1];
    };
    expect(new Set(items.map(({ position }) => position))).toEqual(new Set([0, 4, 9]));
    for (const item of items) {
      if (item.output !== 'generate_until') throw new Error(item.output);
      expect(item.segments!.parts).toHaveLength(10);
      expect(item.segments!.parts[item.position!]).toBe(`Document (${passageOf(item.at)}\n`);
    }
  });

  test('llmbar: both orders show both outputs, the better one is the same', async () => {
    const { items } = await load('llmbar');
    for (const item of items) {
      if (item.output !== 'pairwise') throw new Error(item.output);
      const shown = item.orders.map(({ options, gold }) => {
        const [, a, b] = /\n\nOutput \(a\):\n([\s\S]*)\n\nOutput \(b\):\n([\s\S]*)\n\nWhich output/.exec(
          options[0]!.context,
        )!;
        return { a, b, better: [a, b][gold] };
      });
      expect(item.orders.map(({ segments }) => segments!.parts.length)).toEqual([2, 2]);
      expect(shown[1]).toEqual({ a: shown[0]!.b, b: shown[0]!.a, better: shown[0]!.better });
    }
  });

  test('xquad-en: questions of the innermost level with the paragraph around them', async () => {
    const { items } = await load('xquad-en');
    expect(items[0]).toMatchObject({
      id: '56beb4343aeaaa14008c925b',
      answers: ['308'],
      context: expect.stringMatching(
        /^Context: The Panthers defense gave up just 308 points.*\n\nQuestion: How many points did the Panthers defense surrender\?\n\nAnswer:$/,
      ),
    });
    expect(new Set(items.map(({ cluster }) => cluster)).size).toBe(240);
  });

  test('function-vectors: five solved pairs of the same function before the one asked for', async () => {
    const items = (await load('function-vectors-abstractive')).items.slice(0, 40);
    for (const item of items) {
      if (item.output !== 'loglikelihood') throw new Error(item.output);
      const [asked, ...examples] = item.context.split('\n\n').reverse();
      expect(examples).toHaveLength(5);
      expect(asked).toMatch(/^Q: .*\nA:$/);
      for (const example of examples) {
        expect(example).toMatch(/^Q: .*\nA: .+$/);
        expect(example.startsWith(asked!)).toBe(false);
      }
    }
    const { items: others } = await loadItems(builtinTasks.get('function-vectors-abstractive')!, {
      root,
      limit: 40,
      seed: 1,
    });
    expect(others.map((item) => 'context' in item && item.context)).not.toEqual(
      items.map((item) => 'context' in item && item.context),
    );
  });

  test('relations: the wording of the file with the subject in it', async () => {
    const { items } = await load('relations');
    expect(items.find(({ slice }) => slice === 'adj_comparative')).toMatchObject({
      context: 'The comparative form of big is',
      continuation: ' bigger',
    });
    expect(new Set(items.map(({ slice }) => slice)).size).toBe(16);
  });

  test('gsm8k: the number after the marks', async () => {
    const { items } = await load('gsm8k');
    expect(items.slice(0, 2).map((item) => 'answers' in item && item.answers)).toEqual([['18'], ['3']]);
  });
});
