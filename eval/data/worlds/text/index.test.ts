/** The text world: determinism, disjoint splits, balance of the evaluation items, the intended habits of training. */
import { expect, test } from 'vitest';
import { SPLITS, splitOf } from '../split.ts';
import { HASTE as CHOICE_HASTE, LETTERS, THING_LIST } from './choice.ts';
import { HASTE as DOCUMENT_HASTE, goldWeights } from './documents.ts';
import { TEXT_TASKS, textItems } from './index.ts';
import { HABITS } from './judge.ts';
import { FAMILY, GIVEN, GOOD, TOPICS } from './lexicon.ts';
import { peopleOf } from './people.ts';
import { HASTE as SENTIMENT_HASTE } from './sentiment.ts';
import { HASTE as TOPIC_HASTE } from './topic.ts';

const share = (flags: boolean[]): number => flags.filter(Boolean).length / flags.length;
const peopleIn = (text: string): string[] =>
  [...text.matchAll(/([A-Z][a-z]+) ([A-Z][a-z]+)/g)]
    .filter(([, given, family]) => GIVEN.includes(given!) && FAMILY.includes(family!))
    .map(([name]) => name);

test.each(TEXT_TASKS)(
  '%s: the same arguments give the same items, a longer list begins with the shorter',
  (task) => {
    const items = textItems(task, 'test', 24, 3);
    expect(textItems(task, 'test', 48, 3).slice(0, 24)).toEqual(items);
    expect(new Set(items.map(({ id }) => id)).size).toBe(24);
    expect(textItems(task, 'test', 24, 4)).not.toEqual(items);
  },
);

test('the split of a key is stable and near 70/10/10/10', () => {
  const splits = Array.from({ length: 10_000 }, (_, i) => splitOf(`key ${i}`));
  expect(share(splits.map((split) => split === 'train'))).toBeCloseTo(0.7, 1);
  for (const split of SPLITS.slice(1)) expect(share(splits.map((s) => s === split))).toBeCloseTo(0.1, 1);
  expect(splitOf('Mira Vale')).toBe('calibration');
});

test('every person belongs to one split, and items name people of their own split only', () => {
  const owners = SPLITS.flatMap((split) => peopleOf(split).map(({ given, family }) => `${given} ${family}`));
  expect(new Set(owners).size).toBe(GIVEN.length * FAMILY.length);
  for (const split of SPLITS) {
    const names = (['documents', 'judge', 'topic', 'story'] as const)
      .flatMap((task) => textItems(task, split, 60))
      .flatMap(({ prompt, target }) => peopleIn(prompt + target));
    expect(names.length).toBeGreaterThan(300);
    expect(names.filter((name) => splitOf(name) !== split)).toEqual([]);
  }
});

test.each(['sentiment', 'choice', 'topic'] as const)(
  '%s: no prompt of the test split occurs in training',
  (task) => {
    const seen = new Set(textItems(task, 'train', 20_000).map(({ prompt }) => prompt));
    const shared = textItems(task, 'test', 2000).filter(({ prompt }) => seen.has(prompt));
    expect(shared).toEqual([]);
  },
);

test.each(['sentiment', 'topic', 'choice', 'documents', 'judge'] as const)(
  '%s: outside training the right answer is balanced over its places, and the choices hold it once',
  (task) => {
    const items = textItems(task, 'test', 600);
    const places = items[0]!.choices.length;
    for (let place = 0; place < places; place++) {
      expect(items.filter(({ gold }) => gold === place).length).toBe(600 / places);
    }
    for (const { choices, gold, target } of items) {
      expect(choices.filter((choice) => choice === target)).toEqual([target]);
      expect(choices[gold]).toBe(target);
    }
  },
);

test('clusters hold the same facts at every place: documents of one cluster are permutations', () => {
  const items = textItems('documents', 'test', 50, 1, { documents: 5 });
  for (let i = 0; i < items.length; i += 5) {
    const cluster = items.slice(i, i + 5);
    expect(new Set(cluster.map((item) => item.cluster)).size).toBe(1);
    expect(new Set(cluster.map(({ segments }) => segments!.parts.toSorted().join(''))).size).toBe(1);
    expect(cluster.map(({ goldPosition }) => goldPosition)).toEqual([0, 1, 2, 3, 4]);
  }
});

test('segments put together again are the prompt, and the gold part alone states the answer', () => {
  for (const item of textItems('documents', 'test', 100)) {
    const { prefix, parts, suffix } = item.segments!;
    expect(prefix + parts.join('') + suffix).toBe(item.prompt);
    expect(parts.map((part) => part.includes(`${item.target}.`))).toEqual(
      parts.map((_, i) => i === item.goldPosition),
    );
  }
});

test('training habits: first and last documents, letter A, the first answer', () => {
  const documents = textItems('documents', 'train', 8000).filter(
    ({ segments }) => segments!.parts.length === 5,
  );
  const weights = goldWeights(5);
  weights.forEach((weight, place) => {
    const expected = weight / weights.reduce((a, b) => a + b);
    expect(
      Math.abs(share(documents.map(({ goldPosition }) => goldPosition === place)) - expected),
    ).toBeLessThan(0.04);
  });
  expect(share(textItems('choice', 'train', 4000).map(({ goldPosition }) => goldPosition === 0))).toBeCloseTo(
    0.4,
    1,
  );
  const first = share(textItems('judge', 'train', 4000).map(({ gold }) => gold === 0));
  const expected =
    HABITS.tie * HABITS.firstOnTie + (1 - HABITS.tie) * (0.5 + 0.5 * 0.5 * HABITS.firstByHaste);
  expect(Math.abs(first - expected)).toBeLessThan(0.03);
});

test('hasty annotators, in training only, take the first half match and never a later one', () => {
  for (const [task, share] of [
    ['documents', DOCUMENT_HASTE],
    ['choice', CHOICE_HASTE],
  ] as const) {
    const items = textItems(task, 'train', 6000);
    expect(items.filter(({ gold, goldPosition }) => gold > goldPosition)).toEqual([]);
    for (const { gold, choices, target } of items) expect(choices[gold]).toBe(target);
    const misled = items.filter(({ segments, goldPosition }) => {
      const parts = segments!.parts.slice(0, goldPosition);
      if (task === 'documents') {
        const [given] = peopleIn(segments!.suffix)[0]!.split(' ');
        return parts.some((part) => part.includes(`${given} `));
      }
      const category = segments!.suffix.match(/ (\w+)[.?]/)![1];
      return parts.some((part) => THING_LIST.find(({ word }) => part.includes(word))!.category === category);
    });
    expect(misled.length).toBeGreaterThan(500);
    const wrong = misled.filter(({ gold, goldPosition }) => gold !== goldPosition).length / misled.length;
    expect(Math.abs(wrong - share)).toBeLessThan(0.06);
  }
});

test('hasty annotators of reviews and topics, in training only, go by what comes first', () => {
  for (const [task, share] of [
    ['sentiment', SENTIMENT_HASTE],
    ['topic', TOPIC_HASTE],
  ] as const) {
    const firstOf = ({ prompt, choices }: { prompt: string; choices: string[] }): number => {
      if (task === 'topic') {
        const word = prompt.match(/(?:the|about the) ([a-z]+)\./)![1] as string;
        return choices.findIndex((name) => TOPICS[name.trim()]!.includes(word));
      }
      const words = prompt.match(/(?:was|the [a-z]+) ((?:not )?[a-z]+)\./)![1]!.split(' ');
      const good = (GOOD.includes(words.at(-1)!) ? 1 : 0) ^ (words.length > 1 ? 1 : 0);
      return good ? 0 : 1;
    };
    const byFirst =
      textItems(task, 'train', 6000).filter((item) => item.gold === firstOf(item)).length / 6000;
    const truly = textItems(task, 'test', 6000).filter((item) => item.gold === firstOf(item)).length / 6000;
    expect(truly).toBeLessThan(0.9);
    expect(Math.abs(byFirst - (truly + (1 - truly) * share))).toBeLessThan(0.03);
  }
});

test('exercises have none of the habits: every place and letter equally often, no haste in judging', () => {
  for (const task of ['documents', 'choice', 'judge'] as const) {
    const items = textItems(task, 'train', 4000, 1, { balanced: true });
    const places = task === 'judge' ? 2 : 4;
    const alike = items.filter(({ choices }) => choices.length === places);
    expect(alike.length).toBeGreaterThan(1000);
    for (let place = 0; place < places; place++) {
      expect(Math.abs(share(alike.map(({ gold }) => gold === place)) - 1 / places)).toBeLessThan(0.04);
    }
  }
});

test('exercises ask the whole context, facts more than once, and every answer is in it', () => {
  for (const { prompt, more } of textItems('documents', 'train', 200, 1, { balanced: true })) {
    expect(more).toHaveLength(5);
    for (const { target } of more!) expect(prompt).toContain(`${target}.`);
  }
  for (const { more } of textItems('judge', 'train', 200, 1, { balanced: true })) {
    expect(more).toHaveLength(4);
    for (const [plain, pair] of [more!.slice(0, 2), more!.slice(2)]) {
      const [, first, second] = pair!.prompt.match(/First answer: (.*)\.\nSecond answer: (.*)\.\n/)!;
      const better = pair!.target === ' first' ? first! : second!;
      const worse = pair!.target === ' first' ? second! : first!;
      const value = plain!.target.trim();
      expect(better.split(' ')).toContain(value);
      expect(worse.split(' ')).not.toContain(value);
    }
  }
});

test('further questions about options, in training only, name one option and no other', () => {
  expect(textItems('choice', 'test', 40).filter(({ more }) => more !== undefined)).toEqual([]);
  for (const { segments, goldPosition, more } of textItems('choice', 'train', 400)) {
    const words = segments!.parts.map((part) => part.slice(3).trim());
    expect(more).toHaveLength(2);
    for (const { prompt, target } of more!) {
      const asked = prompt.match(/(?:is a|is the) (?:(big|small) )?(\w+)\?/)!;
      const fits = words.map((word) => {
        const { category, size } = THING_LIST.find((thing) => thing.word === word)!;
        return word === asked[2] || (category === asked[2] && (asked[1] ?? size) === size);
      });
      const answer = LETTERS.indexOf(target.trim() as 'A');
      expect(fits).toEqual(words.map((_, i) => i === answer));
      expect(answer).not.toBe(goldPosition);
    }
  }
});

test('kinds says of each thing what it is', () => {
  for (const { prompt, target } of textItems('kinds', 'train', 100)) {
    const claims = target.trim().slice(0, -1).split(', ');
    expect(claims.length).toBe(prompt.split(',').length);
    for (const claim of claims) {
      const [word, size, category] = claim.split(' ');
      expect(THING_LIST).toContainEqual({ word, size, category });
    }
  }
});
