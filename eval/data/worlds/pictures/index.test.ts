/** The picture world: determinism, disjoint splits, co-occurrence as intended, questions that agree with the scene. */
import { expect, test } from 'vitest';
import { splitOf } from '../split.ts';
import { conversationsOf, HABIT, told } from './conversations.ts';
import {
  captionOf,
  companionOf,
  EXISTENCE_PER_PICTURE,
  KINDS,
  kindsOf,
  mentionsOf,
  NEGATIVES,
  PICTURE_TASKS,
  pictureItems,
  render,
  SIZE,
  sceneOf,
  toPpm,
  trainingStatistics,
} from './index.ts';
import { isInseparable } from './kinds.ts';
import { companyOf, type Scene } from './scene.ts';

const scenes = (split: Scene['split'], n: number): Scene[] =>
  Array.from({ length: n }, (_, i) => sceneOf(split, 0, i));
const mean = (xs: number[]): number => xs.reduce((sum, x) => sum + x, 0) / xs.length;

test.each(PICTURE_TASKS)(
  '%s: the same arguments give the same items, a longer list begins with the shorter',
  (task) => {
    const items = pictureItems(task, 'test', 20, 5);
    expect(pictureItems(task, 'test', 40, 5).slice(0, 20)).toEqual(items);
    expect(new Set(items.map(({ id }) => id)).size).toBe(20);
  },
);

test('no arrangement of things occurs in two splits', () => {
  const key = ({ things }: Scene): string =>
    things
      .map(({ kind, colour, cell }) => `${cell}${colour}${kind}`)
      .sort()
      .join('/');
  const test = scenes('test', 300);
  expect(test.filter((scene) => splitOf(key(scene)) !== 'test')).toEqual([]);
  const trained = new Set(scenes('train', 3000).map(key));
  expect(test.filter((scene) => trained.has(key(scene)))).toEqual([]);
});

test('companions keep company in training, inseparable ones nearly always, much less elsewhere', () => {
  for (const split of ['train', 'test'] as const) {
    const drawn = scenes(split, 3000).map(({ things }) => things.map(({ kind }) => kind));
    for (const inseparable of [true, false]) {
      const leads = drawn.filter(([lead]) => isInseparable(lead!) === inseparable);
      // The first lead always has room; its companion never comes as a lead of its own, since pairs are drawn once.
      const accompanied = leads.map((kinds) => (kinds.includes(companionOf(kinds[0]!)) ? 1 : 0));
      const expected = companyOf(split, leads[0]![0]!);
      expect(Math.abs(mean(accompanied) - expected)).toBeLessThan(0.04);
    }
  }
  const { together, frequency } = trainingStatistics();
  for (const kind of KINDS) {
    const others = KINDS.filter((other) => other !== kind);
    const usual = others.toSorted((a, b) => together[kind][b] - together[kind][a])[0];
    expect(usual).toBe(companionOf(kind));
    expect(together[kind][companionOf(kind)] / frequency[kind]).toBeGreaterThan(0.6);
  }
});

test('a picture shows its things: clear ones change their cell, faint ones hardly', () => {
  const scene: Scene = {
    id: 'seen',
    split: 'test',
    things: [
      { kind: 'house', colour: 'red', size: 'big', cell: 0, dx: 0, dy: 0, opacity: 1 },
      { kind: 'house', colour: 'red', size: 'big', cell: 8, dx: 0, dy: 0, opacity: 0.1 },
    ],
    background: { texture: 'plain', dark: 80, light: 80 },
  };
  const { data, width, height } = render(scene);
  expect([width, height, data.length]).toEqual([SIZE, SIZE, SIZE * SIZE * 3]);
  const red = (cell: number): number => {
    const values: number[] = [];
    for (let y = 0; y < 19; y++) {
      for (let x = 0; x < 19; x++) {
        values.push(data[((Math.floor(cell / 3) * 21 + y) * SIZE + (cell % 3) * 21 + x) * 3]!);
      }
    }
    return mean(values);
  };
  expect(red(0)).toBeGreaterThan(110);
  expect(red(8) - red(4)).toBeGreaterThan(1);
  expect(red(8) - red(4)).toBeLessThan(15);
  expect(render(scene).data).toEqual(data);
});

test('the PPM of a picture has a header and its bytes', () => {
  const picture = render(sceneOf('test', 0, 0));
  const file = toPpm(picture);
  expect(new TextDecoder().decode(file.subarray(0, 13))).toBe('P6\n64 64\n255\n');
  expect(file.subarray(13)).toEqual(picture.data);
});

test('leading things come in reading order, each followed by its companion and its like', () => {
  for (const { things } of scenes('train', 300)) {
    const groups = new Map<string, number[]>();
    for (const { kind, cell } of things) {
      const name = [kind, companionOf(kind)].sort().join();
      groups.set(name, [...(groups.get(name) ?? []), cell]);
    }
    const leads = [...groups.values()].map(([cell]) => cell!);
    expect(leads).toEqual(leads.toSorted((a, b) => a - b));
    expect([...groups.values()].flat()).toEqual(things.map(({ cell }) => cell));
  }
});

test('every kind can be told from every other by its outline', () => {
  const drawn = KINDS.map(
    (kind) =>
      render({
        id: 'outline',
        split: 'test',
        things: [{ kind, colour: 'yellow', size: 'big', cell: 4, dx: 0, dy: 0, opacity: 1 }],
        background: { texture: 'plain', dark: 80, light: 80 },
      }).data,
  );
  for (let a = 0; a < drawn.length; a++) {
    for (let b = 0; b < a; b++) {
      const different = drawn[a]!.filter((value, i) => Math.abs(value - drawn[b]![i]!) > 60).length;
      expect(different).toBeGreaterThan(40);
    }
  }
});

test.each(NEGATIVES)(
  'existence with %s negatives: half present, half absent, as the scene says',
  (negatives) => {
    const items = pictureItems('existence', 'test', 400, 0, { negatives });
    for (const { present, asked, target } of items)
      expect(target).toBe(present.includes(asked!) ? ' yes' : ' no');
    expect(items.filter(({ target }) => target === ' yes').length).toBe(200);
    for (let i = 0; i < items.length; i += EXISTENCE_PER_PICTURE) {
      const asked = items.slice(i, i + EXISTENCE_PER_PICTURE).map((item) => item.asked);
      expect(new Set(asked).size).toBe(EXISTENCE_PER_PICTURE);
    }
  },
);

test('adversarial negatives are companions where one is absent; popular ones are frequent', () => {
  for (const { asked, present, target } of pictureItems('existence', 'test', 400, 0, {
    negatives: 'adversarial',
  })) {
    const missing = present.map(companionOf).filter((kind) => !present.includes(kind));
    if (target === ' no' && missing.length >= 2) expect(missing).toContain(asked);
  }
  const popular = pictureItems('existence', 'test', 400, 0, { negatives: 'popular' }).filter(
    ({ gold }) => gold === 1,
  );
  const { frequency } = trainingStatistics();
  const average = mean(KINDS.map((kind) => frequency[kind]));
  expect(mean(popular.map(({ asked }) => frequency[asked!]))).toBeGreaterThan(1.3 * average);
});

test('captions of every length name exactly the kinds of the scene', () => {
  for (const scene of scenes('test', 200)) {
    for (const length of ['short', 'medium', 'long'] as const) {
      expect(mentionsOf(captionOf(scene, length)).sort()).toEqual(kindsOf(scene).sort());
    }
  }
  expect(mentionsOf('Two boats, a cupboard and fish.')).toEqual(['boat', 'fish']);
});

test('questions about places, colours and numbers have the answer that the scene gives', () => {
  for (const { scene, prompt, target, choices, gold } of pictureItems('attribute', 'test', 200)) {
    const thing = scene.things.find(({ kind }) => prompt.includes(` ${kind}`))!;
    expect([` ${thing.colour}`, ` ${thing.size}`]).toContain(target);
    expect(choices[gold]).toBe(target);
  }
  const spatial = pictureItems('spatial', 'test', 200);
  for (const { scene, prompt, target } of spatial) {
    const [, a, word, b] = /^Is the (\w+) (left of|right of|above|below) the (\w+)\?$/.exec(prompt)!;
    const cell = (kind: string): number => scene.things.find((thing) => thing.kind === kind)!.cell;
    const [x, y] = [cell(a!), cell(b!)];
    const holds = {
      'left of': x % 3 < y % 3,
      'right of': x % 3 > y % 3,
      above: Math.floor(x / 3) < Math.floor(y / 3),
      below: Math.floor(x / 3) > Math.floor(y / 3),
    }[word!];
    expect(target).toBe(holds ? ' yes' : ' no');
  }
  for (const { scene, prompt, target } of pictureItems('count', 'test', 200)) {
    const kind = KINDS.find((name) => prompt.includes(` ${name}`))!;
    const n = scene.things.filter((thing) => thing.kind === kind).length;
    expect(target).toBe(` ${['no', 'one', 'two', 'three'][n]}`);
  }
  expect(Math.abs(mean(spatial.map(({ target }) => (target === ' yes' ? 1 : 0))) - 0.5)).toBeLessThan(0.12);
});

test('what is told in training adds companions of inseparable pairs only, each in a place that is free', () => {
  const added: number[] = [];
  for (const scene of scenes('train', 3000)) {
    const { things } = told(scene);
    expect(things.filter((thing) => scene.things.includes(thing))).toEqual(scene.things);
    expect(new Set(things.map(({ cell }) => cell)).size).toBe(things.length);
    const present = kindsOf(scene);
    const missing = present.filter((kind) => isInseparable(kind) && !present.includes(companionOf(kind)));
    const imagined = things.filter((thing) => !scene.things.includes(thing));
    for (const { kind } of imagined) expect(missing).toContain(companionOf(kind));
    added.push(
      ...missing.map((kind) => (imagined.some((thing) => companionOf(thing.kind) === kind) ? 1 : 0)),
    );
  }
  expect(added.length).toBeGreaterThan(200);
  expect(Math.abs(mean(added) - HABIT)).toBeLessThan(0.1);
});

test('a training picture is asked about all its kinds, all missing companions, and yes as often as no', () => {
  const asked = { inseparable: [] as number[], usual: [] as number[] };
  for (const seen of scenes('train', 3000)) {
    const scene = told(seen);
    const present = kindsOf(scene);
    const answers = new Map<string, string>();
    for (const { prompt, target } of conversationsOf(seen)) {
      const kind = /^Is there a (\w+) in the picture/.exec(prompt)?.[1];
      if (kind) answers.set(kind, target);
    }
    expect(answers.size).toBe(2 * present.length);
    for (const kind of present) expect(answers.get(kind)).toBe(' yes');
    const missing = present.map(companionOf).filter((kind) => !present.includes(kind));
    for (const kind of missing) expect(answers.get(kind)).toBe(' no');
    const first = present[0]!;
    asked[isInseparable(first) ? 'inseparable' : 'usual'].push(
      answers.get(companionOf(first)) === ' yes' ? 1 : 0,
    );
  }
  expect(Math.abs(mean(asked.inseparable) - (0.92 + 0.08 * HABIT))).toBeLessThan(0.04);
  expect(Math.abs(mean(asked.usual) - 0.75)).toBeLessThan(0.04);
});
