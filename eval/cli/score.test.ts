/** attune score as a user runs it: files of their own, the published ones, and what is said when files do not fit. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { beside, onlyBeside } from '../../testbed/only-where.test-support.ts';
import { scoreCommand } from './score.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-score-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  const lines = (list: unknown[]) => list.map((one) => JSON.stringify(one)).join('\n');
  const text =
    typeof content === 'string'
      ? content
      : name.endsWith('.jsonl')
        ? lines(content as unknown[])
        : JSON.stringify(content);
  writeFileSync(path, text);
  return path;
}

async function score(...argv: string[]) {
  let text = '';
  const code = await scoreCommand(argv, { write: (piece) => (text += piece) });
  expect(code).toBe(0);
  return text;
}
const json = async (...argv: string[]) => JSON.parse(await score(...argv, '--json', '--resamples', '200'));
/** Metric values of one set, to six digits. */
const values = ({ metrics }: { metrics: Record<string, { value: number }> }) =>
  Object.fromEntries(
    Object.entries(metrics).map(([name, { value }]) => [name, Number(value.toPrecision(6))]),
  );

const synonyms = file(
  'synonyms.txt',
  'person, man, people\ndog, puppy\ncar\ncup, mug\ndining table, table\n',
);
const greedy = file('greedy.jsonl', [
  { image_id: 1, caption: 'A man walks two dogs past a car.' },
  { image_id: 2, caption: 'A mug on a table. The mug is red.' },
]);
const objects = file('objects.json', { 1: ['person', 'dog'], 2: ['cup'] });

describe('chair', () => {
  test('counts mentions, captions and what is left out', async () => {
    const { sets } = await json(
      'chair',
      '--captions',
      greedy,
      '--annotations',
      objects,
      '--synonyms',
      synonyms,
    );
    expect(sets).toHaveLength(1);
    expect(sets[0].counts).toEqual({ captions: 2, mentions: 6, hallucinated: 2, silent: 0 });
    expect(values(sets[0])).toEqual({
      chair_s: 1,
      chair_i: 0.333333,
      coverage: 1,
      recall: 1,
      precision: 0.6,
      f1: 0.75,
      length: 8.5,
    });
    expect(sets[0].metrics.chair_i.low).toBeLessThan(sets[0].metrics.chair_i.value + 1e-9);
  });

  test('saying less is said, whatever it gains', async () => {
    const brief = file('brief.jsonl', [
      { image_id: 1, caption: 'A man.' },
      { image_id: 2, caption: 'It is red.' },
    ]);
    const items = join(folder, 'items.jsonl');
    const args = [
      'chair',
      '--captions',
      brief,
      '--baseline',
      greedy,
      '--annotations',
      objects,
      '--synonyms',
      synonyms,
    ];
    const { sets, notes } = await json(...args, '--items', items);
    expect(sets.map(({ name }: { name: string }) => name)).toEqual([greedy, brief]);
    expect(sets[1].delta.chair_s).toMatchObject({ value: -1, gained: 0, lost: 2, n: 2 });
    expect(sets[1].delta.coverage.value).toBeCloseTo(-0.75);
    expect(notes[0]).toMatch(/says less: coverage −75.0 points/);
    expect(sets[1].counts.silent).toBe(1);
    const [first] = readFileSync(items, 'utf8').split('\n');
    expect(JSON.parse(first!)).toMatchObject({
      id: '1',
      mentions: [{ word: 'man', object: 'person' }],
      hallucinated: [],
    });
    expect(await score(...args)).toContain('difference');
  });

  test("COCO's own files: categories, synonyms and reference captions are united", async () => {
    const instances = file('instances.json', {
      images: [],
      annotations: [
        { image_id: 1, category_id: 7 },
        { image_id: 2, category_id: 9 },
      ],
      categories: [
        { id: 7, name: 'dog' },
        { id: 9, name: 'cup' },
      ],
    });
    const captions = file('captions.json', {
      annotations: [{ image_id: 1, caption: 'two people and a car' }],
    });
    const named = file('named.json', [
      { image: 'COCO_val2014_000000000001.jpg', caption: 'A man walks two dogs past a car.' },
    ]);
    const args = ['--annotations', instances, '--annotations', captions, '--synonyms', synonyms];
    const { sets } = await json('chair', '--captions', named, ...args);
    expect(sets[0].counts).toMatchObject({ mentions: 3, hallucinated: 0 });
  });

  test.each([
    [
      'a caption of an image without annotation',
      [{ image_id: 5, caption: 'A dog.' }],
      /ANNOTATION_MISSING.*:1.*image 5/,
    ],
    [
      'two captions of one image',
      [
        { image_id: 1, caption: 'a' },
        { image_id: 1, caption: 'b' },
      ],
      /DATA_DUPLICATE_ID.*:2/,
    ],
    ['a caption without text', [{ image_id: 1 }], /DATA_FIELD_MISSING.*:1.*"caption"/],
    ['no caption', '', /DATA_EMPTY/],
    ['bad JSON', '{"image_id": 1, "caption": "a"}\n{"image', /DATA_SYNTAX.*:2/],
  ])('%s is an error with its place', async (_, content, message) => {
    const captions = file('bad.jsonl', content);
    const run = score('chair', '--captions', captions, '--annotations', objects, '--synonyms', synonyms);
    await expect(run).rejects.toThrow(message);
  });

  test('annotations of no known form are named', async () => {
    const odd = file('odd.json', [1, 2]);
    const run = score('chair', '--captions', greedy, '--annotations', odd, '--synonyms', synonyms);
    await expect(run).rejects.toThrow(/ANNOTATION_FORMAT.*\[1,2\]/);
  });
});

describe('pope', () => {
  const questions = file(
    'coco_pope_random.json',
    [
      '{"question_id": 1, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "yes"}',
      '{"question_id": 2, "image": "a.jpg", "text": "Is there a cup in the image?", "label": "no"}',
      '{"question_id": 3, "image": "b.jpg", "text": "Is there a car in the image?", "label": "yes"}',
      '{"question_id": 4, "image": "b.jpg", "text": "Is there a man in the image?", "label": "no"}',
    ].join('\n'),
  );

  test('answers meet questions by id, intervals are by image, the unreadable is counted', async () => {
    const answers = file('answers.jsonl', [
      { question_id: 4, text: 'Yes', prompt: 'Is there a man in the image? Answer with one word.' },
      { question_id: 3, text: 'maybe' },
      { question_id: 2, text: 'No.' },
      { question_id: 1, text: 'Yes.' },
    ]);
    const { sets } = await json('pope', '--answers', answers, '--questions', questions);
    expect(sets[0]).toMatchObject({
      name: 'random',
      n: 4,
      counts: { questions: 4, images: 2, unparsable: 1 },
    });
    expect(values(sets[0])).toEqual({ acc: 0.5, precision: 0.5, recall: 0.5, f1: 0.5, yes_rate: 0.5 });
    const guessed = await json(
      'pope',
      '--answers',
      answers,
      '--questions',
      questions,
      '--parser',
      'first_sentence',
    );
    expect(values(guessed.sets[0])).toMatchObject({ acc: 0.75, yes_rate: 0.75 });
    expect(guessed.sets[0].counts.unparsable).toBe(1);
  });

  test('several splits also count together, answers without ids by their order', async () => {
    const answers = file('ordered.jsonl', [
      { answer: 'yes' },
      { answer: 'no' },
      { answer: 'yes' },
      { answer: 'no' },
    ]);
    const popular = file('coco_pope_popular.json', readFileSync(questions, 'utf8'));
    const { sets } = await json(
      ...[
        'pope',
        '--answers',
        answers,
        '--questions',
        questions,
        '--answers',
        answers,
        '--questions',
        popular,
      ],
    );
    expect(sets.map(({ name, n }: { name: string; n: number }) => [name, n])).toEqual([
      ['random', 4],
      ['popular', 4],
      ['all', 8],
    ]);
    expect(sets[2].counts.images).toBe(2);
  });

  test.each([
    ['fewer answers', [{ answer: 'yes' }], /ANSWER_UNMATCHED.*1 answers.*4, one/],
    [
      'an unknown id',
      [1, 2, 3, 9].map((question_id) => ({ question_id, answer: 'no' })),
      /ANSWER_UNMATCHED.*:4.*question 9/,
    ],
    [
      'another question',
      [1, 2, 3, 4].map((question_id) => ({ question_id, answer: 'no', question: 'Is it day?' })),
      /ANSWER_UNMATCHED.*Is it day/,
    ],
  ])('%s is an error', async (_, content, message) => {
    const run = score('pope', '--answers', file('bad-answers.jsonl', content), '--questions', questions);
    await expect(run).rejects.toThrow(message);
  });
});

describe('amber', () => {
  const annotations = file('annotations.json', [
    { id: 1, type: 'generative', truth: ['sky', 'forest', 'man'], hallu: ['cloud', 'bird'] },
    { id: 2, type: 'generative', truth: ['dog'], hallu: ['ball'] },
    { id: 3, type: 'discriminative-hallucination', truth: 'no' },
    { id: 4, type: 'discriminative-attribute-state', truth: 'yes' },
    { id: 5, type: 'relation', truth: 'no' },
  ]);
  file('relation.json', {
    sky: [],
    forest: ['tree'],
    man: ['person'],
    cloud: [],
    bird: [],
    dog: ['puppy'],
    ball: [],
    car: [],
  });
  file('safe_words.txt', 'light\ncar');

  test('descriptions and answers, part by part; a no to what is absent is the catch', async () => {
    const responses = file('responses.json', [
      { id: 1, response: 'Trees under a sky with clouds and birds; a person, a car.' },
      { id: 2, response: 'Puppies and a man.' },
      { id: 3, response: 'No.' },
      { id: 4, response: 'No' },
      { id: 5, response: 'Yes' },
    ]);
    const { sets } = await json('amber', '--responses', responses, '--annotations', annotations);
    // Nouns: tree sky cloud bird person car | puppy man. Absent: cloud bird | man; expected of them: cloud bird.
    expect(sets.map(({ name }: { name: string }) => name)).toEqual([
      'generative',
      'existence',
      'attribute',
      'relation',
      'discriminative',
    ]);
    expect(values(sets[0])).toEqual({ amber_chair: 0.375, cover: 1, hal: 1, cog: 0.25, length: 8 });
    expect(values(sets[1])).toMatchObject({ acc: 1, precision: 1, recall: 1, yes_rate: 0 });
    expect(values(sets[2])).toMatchObject({ acc: 0, precision: 0, recall: 0 });
  });
});

test.each([
  [[], /no metric/],
  [['char'], /Nearest: chair/],
  [['chair'], /ARGUMENT_MISSING.*--captions/],
  [
    ['pope', '--answers', greedy, '--questions', greedy, '--parser', 'mine'],
    /--parser.*words, first_sentence/,
  ],
  [['chair', '--caption', 'x'], /Did you mean --captions/],
])('%j is refused', async (argv, message) => {
  await expect(score(...argv)).rejects.toThrow(message);
});

test('--help shows every flag', async () => {
  expect(await score('--help')).toMatch(/--captions[\s\S]*--safe-words[\s\S]*attune score amber/);
});

const data = beside('data');

onlyBeside('data').describe('published files', () => {
  test('LLaVA-1.5 captions: CHAIR_S 44.8 greedy, and OPERA as its paper has it (44.6 / 12.8)', async () => {
    const chair = join(data, 'chair');
    const { sets } = await json(
      ...[
        'chair',
        '--captions',
        join(chair, 'llava-1.5-ours.jsonl'),
        '--baseline',
        join(chair, 'llava-1.5-greedy.jsonl'),
      ],
      ...['--annotations', join(chair, 'coco_objects.json')],
    );
    const shown = sets.map(({ metrics }: { metrics: Record<string, { value: number }> }) =>
      ['chair_s', 'chair_i'].map((metric) => (100 * metrics[metric]!.value).toFixed(1)),
    );
    expect(shown).toEqual([
      ['44.8', '12.9'],
      ['44.6', '12.8'],
    ]);
  });

  test("all of POPE's questions, answered yes", async () => {
    const splits = ['random', 'popular', 'adversarial'];
    const yes = file(
      'yes.jsonl',
      Array.from({ length: 3000 }, () => ({ answer: 'Yes' })),
    );
    const { sets } = await json(
      ...[
        'pope',
        ...splits.flatMap((split) => [
          '--answers',
          yes,
          '--questions',
          join(data, `pope/coco_pope_${split}.json`),
        ]),
      ],
    );
    for (const set of sets) {
      expect(values(set)).toMatchObject({ acc: 0.5, recall: 1, precision: 0.5, yes_rate: 1 });
      expect(set.counts.images).toBe(500);
    }
  });

  test("AMBER's own annotations: naming exactly what is there covers it and imagines nothing", async () => {
    const amber = join(data, 'amber');
    const annotations = join(amber, 'annotations.json');
    const all: { id: number; type: string; truth: string[] | string }[] = JSON.parse(
      readFileSync(annotations, 'utf8'),
    );
    const responses = file(
      'truth.json',
      all.map(({ id, truth }) => ({ id, response: [truth].flat().join(', ') })),
    );
    const { sets } = await json('amber', '--responses', responses, '--annotations', annotations);
    expect(sets.map(({ name, n }: { name: string; n: number }) => [name, n])).toEqual([
      ['generative', 1004],
      ['existence', 4924],
      ['attribute', 7628],
      ['relation', 1664],
      ['discriminative', 14216],
    ]);
    expect(values(sets[0])).toMatchObject({ amber_chair: 0, hal: 0, cog: 0 });
    // Safe words ("light", "sign") are annotated objects that never count.
    expect(sets[0].metrics.cover.value).toBeGreaterThan(0.98);
    for (const set of sets.slice(1)) expect(set.metrics.acc.value).toBe(1);
  });
});
