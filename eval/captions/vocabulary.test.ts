/** Objects in English text: plurals, phrases, and what each rule does to the published captions. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { beside, onlyBeside } from '../../testbed/only-where.test-support.ts';
import { scoreCaption } from './chair.ts';
import { pluralsOf } from './plural.ts';
import { englishVocabulary, Vocabulary, vocabularyRows } from './vocabulary.ts';

test('plurals', () => {
  const first = (word: string) => pluralsOf(word)[0];
  expect(['dog', 'bus', 'bench', 'puppy', 'trolley', 'box'].map(first)).toEqual([
    'dogs',
    'buses',
    'benches',
    'puppies',
    'trolleys',
    'boxes',
  ]);
  expect(pluralsOf('knife')).toContain('knives');
  expect(pluralsOf('policeman')).toContain('policemen');
  expect(pluralsOf('buffalo')).toEqual(['buffalos', 'buffaloes']);
  expect(pluralsOf('wine glass')).toEqual(['wine glasses']);
});

describe('a vocabulary', () => {
  const vocabulary = englishVocabulary([
    ['person', 'man', 'baby', 'people'],
    ['skis', 'ski'],
    ['cell phone', 'phone', 'iPhone'],
    ['toilet'],
    ['chair', 'seat'],
    ['bear', 'panda'],
    ['teddy bear'],
    ['train'],
    ['wine glass'],
    ['dining table', 'table'],
    ['tie', 'bow', 'bow tie'],
  ]);
  const objects = (text: string) => vocabulary.extract(text).mentions.map(({ object }) => object);

  test.each([
    ['Two men and their phones.', ['person', 'cell phone']],
    ['Skis and a ski', ['skis', 'skis']],
    ['An iPhone', ['cell phone']],
    ['a teddy bear', ['teddy bear']],
    ['teddy bears, pandas', ['teddy bear', 'bear']],
    ['a baby bear with a baby', ['bear', 'person']],
    ['the train tracks', []],
    ['a passenger train', ['train']],
    ['wine glasses on dining tables', ['wine glass', 'dining table']],
    ['the seat of the toilet', ['toilet']],
    ['a seat', ['chair']],
    ['a bow tie', ['tie']],
    ['glasses', []],
    ['', []],
  ])('%s', (text, wanted) => {
    expect(objects(text)).toEqual(wanted);
  });

  test('words are counted before phrases are joined', () => {
    expect(vocabulary.extract('A teddy bear, at 5.')).toMatchObject({
      words: 4,
      tokens: ['a', 'teddy bear', ',', 'at', '5', '.'],
    });
  });
});

onlyBeside('data/chair').describe('LLaVA-1.5, greedy, 500 images (docs/hallucination-metrics.md)', () => {
  const text = (name: string) => readFileSync(join(beside('data/chair'), name), 'utf8');
  const rows = () =>
    vocabularyRows(text('synonyms.txt')).map((row) => [...new Set(row.map((word) => word.toLowerCase()))]);
  const pairs = () =>
    Object.fromEntries(
      rows()
        .flat()
        .filter((word) => /^\S+ \S+$/.test(word))
        .map((word) => [word, word]),
    );
  const lemmas = (forms: (word: string) => string[]) => {
    const words = new Set(rows().flat());
    const singulars = [...words, ...Object.keys(pairs()).flatMap((pair) => pair.split(' '))];
    const table: Record<string, string> = {};
    for (const word of singulars) for (const form of forms(word)) if (!words.has(form)) table[form] ??= word;
    return table;
  };
  const hallucinated = (vocabulary: Vocabulary) => {
    const truth = JSON.parse(text('coco_objects.json')) as Record<string, string[]>;
    const captions = text('llava-1.5-greedy.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const scores = captions.map(({ image_id, caption }) =>
      scoreCaption(caption, new Set(truth[image_id]), vocabulary),
    );
    return {
      captions: scores.filter((score) => score.hallucinated.length > 0).length,
      mentions: scores.reduce((sum, score) => sum + score.hallucinated.length, 0),
      of: scores.reduce((sum, score) => sum + score.mentions.length, 0),
    };
  };
  const besides = { seat: 'toilet' };
  /** Endings off as a simple stemmer takes them, verbs too: "cared" is "car". */
  const stemmed = (word: string) => [
    ...pluralsOf(word),
    ...['ed', 'ing'].flatMap((ending) => [word + ending, word.replace(/e$/, '') + ending]),
  ];

  test.each([
    ['all rules', () => englishVocabulary(rows()), [224, 477, 3709]],
    [
      'without animals, vehicles and guarded pairs',
      () => new Vocabulary({ rows: rows(), phrases: pairs(), lemmas: lemmas(pluralsOf), besides }),
      [225, 482, 3724],
    ],
    [
      'and verbs stemmed',
      () => new Vocabulary({ rows: rows(), phrases: pairs(), lemmas: lemmas(stemmed), besides }),
      [226, 488, 3760],
    ],
    [
      'without pairs',
      () => new Vocabulary({ rows: rows(), phrases: {}, lemmas: lemmas(pluralsOf), besides }),
      [222, 487, 3623],
    ],
    [
      'without plurals',
      () => new Vocabulary({ rows: rows(), phrases: pairs(), lemmas: {}, besides }),
      [200, 381, 3018],
    ],
  ])('%s', (_, vocabulary, [captions, mentions, of]) => {
    expect(hallucinated(vocabulary())).toEqual({ captions, mentions, of });
  });
});
