import { afterAll, expect, test } from 'vitest';
import {
  batch,
  FORMS,
  load,
  maxDifference,
  prompt,
  type TestModel,
} from '../../hooks/model/attuned.test-support.ts';
import { headAblation } from '../../interventions/index.ts';
import { readGoldenFolder } from '../../kernels/golden/folder.ts';
import { block, type Tensor } from '../../kernels/reference/tensor.ts';
import { logSumExp } from '../sweep/distribution.ts';
import { copyScore, echoAndInduction, needleRecall, occurrences } from './copying.ts';
import { type HeadData, headStatistics } from './head-statistics.ts';
import { relativeRise } from './influence.ts';
import { PatternReader } from './pattern-reader.ts';
import { columnMeans, dormantHeads, sinkShare, switchingHeads } from './sinks.ts';
import { classShares, isPunctuation } from './token-classes.ts';

const golden = await readGoldenFolder('testbed/golden');
const cases = <F extends string>(family: F) => golden.filter((one) => one.family === family);
const list = (tensor: Tensor) => Array.from(tensor.data);

test('golden sink_metric: α, shares by ε, dormant and switching heads', () => {
  for (const one of cases('sink_metric')) {
    if (one.family !== 'sink_metric') continue;
    const { config, inputs, expected } = one.content;
    const [samples, L, H, T] = inputs.attention.shape as [number, number, number, number];
    const alpha = (sample: number, layer: number, head: number) => {
      const rows = Array.from({ length: T }, (_, t) => [
        ...block(inputs.attention, sample, layer, head, t),
      ]).flat();
      return columnMeans(rows, T);
    };
    const all: Float64Array[] = [];
    for (let s = 0; s < samples; s++) {
      for (let l = 0; l < L; l++) {
        for (let h = 0; h < H; h++) {
          all.push(alpha(s, l, h));
          expect(maxDifference(all.at(-1)!, block(expected.alpha, s, l, h))).toBeLessThan(1e-7);
        }
      }
    }
    for (const epsilon of config.epsilons) {
      expect(maxDifference(sinkShare(all, epsilon), list(expected.sink[`${epsilon}`]!))).toBeLessThan(1e-7);
    }
    const domains = [...new Set(inputs.domains)];
    const dormant = domains.map((domain) => {
      const own = inputs.domains.flatMap((name, s) => (name === domain ? [s] : []));
      const table = Array.from({ length: L }, (_, l) =>
        Array.from(
          { length: H },
          (__, h) => own.reduce((sum, s) => sum + alpha(s, l, h)[0]!, 0) / own.length,
        ),
      );
      return dormantHeads(table, config.dormantThreshold);
    });
    domains.forEach((domain, i) => {
      expect(dormant[i]).toEqual(expected.dormant[domain]!.map((pair) => [...pair]));
    });
    expect(switchingHeads(dormant)).toEqual(expected.switching);
  }
  expect(cases('sink_metric')).not.toHaveLength(0);
});

test('golden retrieval_heads: copy scores, echo and induction', () => {
  let seen = 0;
  for (const one of cases('retrieval_heads')) {
    if (one.family !== 'retrieval_heads') continue;
    const { content } = one;
    if (content.kind === 'copy') {
      const { config, promptIds, needleStart, needleEnd, emittedIds, attention, expected } = content;
      for (let l = 0; l < config.layers; l++) {
        for (let h = 0; h < config.qHeads; h++) {
          const score = copyScore({
            promptIds,
            needles: [[needleStart, needleEnd]],
            emittedIds,
            row: (step) => block(attention[step]!, l, h),
          });
          expect(score.frequency).toBeCloseTo(block(expected.frequencyScore, l)[h]!, 7);
          expect(score.set).toBeCloseTo(block(expected.setScore, l)[h]!, 7);
        }
      }
      const needle = promptIds.slice(needleStart, needleEnd);
      expect(needleRecall(needle, emittedIds)).toBeCloseTo(expected.needleTokenRecall as number, 7);
      seen += 1;
    }
    if (content.kind === 'echoInduction') {
      const [H, T] = content.attention.shape as [number, number];
      const scores = Array.from({ length: H }, (_, h) => {
        const rows = Array.from({ length: T }, (__, t) => [...block(content.attention, h, t)]).flat();
        return echoAndInduction(rows, content.tokenIds);
      });
      const { echo, induction } = content.expected;
      expect(
        maxDifference(
          scores.map((score) => score.echo),
          list(echo),
        ),
      ).toBeLessThan(1e-7);
      expect(
        maxDifference(
          scores.map((score) => score.induction),
          list(induction),
        ),
      ).toBeLessThan(1e-7);
      seen += 1;
    }
  }
  expect(seen).toBe(2);
});

test('shares of classes: a key is the first thing that it is, and all are one', () => {
  const T = 12;
  const map = new Float64Array(T * T);
  for (let t = 0; t < T; t++) {
    map[t * T]! += 0.25;
    map[t * T + Math.min(t, 2)]! += 0.5; // a sink from row 2 on
    map[t * T + Math.min(t, 5)]! += 0.125; // punctuation
    map[t * T + t]! += 0.125;
  }
  const shares = classShares(
    map,
    T,
    Array.from({ length: T }, (_, k) => k === 5),
  );
  expect(Object.values(shares).reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  expect(shares.first).toBeCloseTo(0.25, 12);
  expect(shares.sinks).toBeGreaterThan((0.5 * 10) / 11);
  expect(shares.punctuation).toBeGreaterThan((0.125 * 7) / 11 - 1e-12);
  expect(shares.self).toBeGreaterThan(0.1);
  expect([' ,', '.\n', '\n\n', '("'].every(isPunctuation)).toBe(true);
  expect([' a,', ' ', '7', 'ß'].some(isPunctuation)).toBe(false);
});

test('small things', () => {
  expect(occurrences([2, 3], [2, 3, 2, 3, 2])).toEqual([
    [0, 2],
    [2, 4],
  ]);
  expect(relativeRise(2, 3)).toBe(0.5);
  expect(relativeRise(0.001, 0.101)).toBeCloseTo(1, 9);
  const tie = { promptIds: [7, 7], needles: [[0, 2]] as [number, number][], emittedIds: [7] };
  expect(copyScore({ ...tie, row: () => [0.5, 0.5] }).frequency).toBe(0);
});

const models = new Map<string, TestModel>();
const model = async (name: string) => {
  const known = models.get(name) ?? (await load(name));
  models.set(name, known);
  return known;
};
afterAll(async () => {
  for (const one of models.values()) await one.dispose();
});

test.each(FORMS)('%s: maps are those of runWithCache', async (name) => {
  const one = await model(name);
  const { cache, output } = await one.runWithCache(batch(prompt), 'blocks.*.attn.hook_pattern');
  await using reader = await PatternReader.open(one.attune.facts);
  const { map, T, logits } = await reader.read(prompt);
  const { dims, data } = cache.get('blocks.1.attn.hook_pattern')!;
  expect(dims.slice(2)).toEqual([T, T]);
  expect(maxDifference(map(1, 2), data.subarray(2 * T * T, 3 * T * T))).toBeLessThan(1e-6);
  const own = (output.logits as { data: Float32Array }).data;
  expect(maxDifference(logits, own.subarray(own.length - logits.length))).toBeLessThan(1e-5);
});

const text = [1, 12, 9, 30, 22, 7, 12, 9, 30, 5];
const data: HeadData = {
  sequences: [text, text.map((id, i) => (i === 0 ? 1 : id + 1))],
  isPunctuation: (token) => token === 30,
  repeated: [[4, 5, 6, 4, 5, 6, 4, 5, 6]],
  answers: [],
  texts: [{ id: 'text', requests: [{ context: text.slice(0, 1), continuation: text.slice(1) }] }],
};

test.each(['uniform', 'zero'] as const)(
  'influence, %s: the rise of the loss under headAblation',
  async (kind) => {
    const one = await model('llama-gqa');
    const loss = async (head?: [number, number]) => {
      one.use(head ? [headAblation({ heads: [head], kind })] : []);
      const { logits } = await one(batch(text.slice(0, -1)));
      one.use([]);
      const V = logits.dims[2]!;
      const values = logits.data as Float32Array;
      const terms = text.slice(1).map((token, k) => logSumExp(values, k * V, V) - values[k * V + token]!);
      return terms.reduce((a, b) => a + b) / terms.length;
    };
    const { influence, ...others } = await headStatistics(one.attune.facts, ['influence'], data, {
      ablation: kind,
    });
    expect(others).toEqual({});
    const base = await loss();
    for (const [layer, row] of influence!.entries()) {
      for (const [head, rise] of row.entries()) {
        expect(rise).toBeCloseTo((await loss([layer, head])) - base, 5);
      }
    }
  },
);

test('all that maps tell, for every layer and head', async () => {
  const one = await model('llama-gqa');
  const seen: string[] = [];
  const tables = await headStatistics(one.attune.facts, ['sink', 'entropy', 'attention', 'induction'], data, {
    onProgress: ({ step, done, total }) => seen.push(`${step} ${done}/${total}`),
  });
  expect(seen).toEqual(['patterns 1/2', 'patterns 2/2', 'induction 1/1']);
  expect(Object.keys(tables).sort()).toEqual(
    [
      ...['attention.first', 'attention.sinks', 'attention.punctuation', 'attention.self', 'attention.rest'],
      ...['echo', 'induction', 'sink', 'sink-rate', 'internal-sinks', 'entropy'],
    ].sort(),
  );
  for (const table of Object.values(tables)) expect(table.map((row) => row.length)).toEqual([4, 4]);
  for (const [l, h] of [
    [0, 0],
    [1, 3],
  ] as const) {
    const shares = Object.entries(tables).filter(([name]) => name.startsWith('attention.'));
    expect(shares.reduce((sum, [, table]) => sum + table[l]![h]!, 0)).toBeCloseTo(1, 5);
    expect(tables.entropy![l]![h]).toBeGreaterThan(0);
  }
});

test('a group without its data is refused by name', async () => {
  const one = await model('llama-gqa');
  const facts = one.attune.facts;
  await expect(headStatistics(facts, ['retrieval'], data)).rejects.toThrow(/STATISTIC_NO_DATA: at retrieval/);
  await expect(headStatistics(facts, ['sink'], { ...data, sequences: [] })).rejects.toThrow(
    /STATISTIC_NO_DATA: at sink/,
  );
});
