import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { COSTS, type CostTable, workOf } from '../costs/costs.ts';
import { sinkCalibration } from '../edits/index.ts';
import type { Edit } from '../plan.ts';
import { chooseLowering } from './choose.ts';
import type { LoweringName } from './lowering.ts';
import { native } from './native/index.ts';
import { addLowering } from './registry.ts';

// As beside the native runtime; here there is none, and it is ruled out everywhere.
addLowering(native);

async function siteOf(name: string) {
  const file = await openModel(join(loadFixture(name).folder, 'onnx/model.onnx'));
  const { model, sites } = recognise(file.model, { source: file.source });
  file.close();
  const site = sites[0]!;
  const edits = {
    bias: [{ kind: 'bias', site, build: () => '' }],
    act: [
      {
        kind: 'expand',
        site,
        edits: [sinkCalibration.with({ stats: 'running', exclude: 'initial' })],
        values: () => ({}),
      },
    ],
    scaled: [{ kind: 'query-scale', site, build: () => '' }],
  } as const satisfies Record<string, readonly Edit[]>;
  return { site, edits, target: { ep: 'cpu', opset: 21, graph: model.graph } };
}

const gqa = await siteOf('llama-gqa');
const mha = await siteOf('llama-mha');
const eager = await siteOf('llama-eager');
const packed = await siteOf('bert-fused');

const cost = (lowering: LoweringName, S: number, ratio: number, ep = 'cpu') => ({
  ep,
  shape: 'any',
  work: 'bias',
  lowering,
  S,
  T: 2048,
  ratio,
});
const table = (...rows: ReturnType<typeof cost>[]): CostTable => ({
  command: '',
  clock: 'cpu',
  machine: {},
  rows,
});
const measured = table(
  cost('keep-operator', 1, 1),
  cost('keep-operator', 2048, 1.3),
  cost('keep-in-blocks', 1, 1.05),
  cost('keep-in-blocks', 2048, 0.7),
  cost('expand', 1, 1.1),
  cost('expand', 2048, 1.2),
);

test('the cheapest over decoding and prompts is taken, of those that can', () => {
  const { site, edits, target } = gqa;
  expect(chooseLowering(site, edits.bias, target, undefined, measured)).toMatchObject({
    lowering: 'keep-in-blocks',
    why: 'measured cheapest on cpu',
  });
  const dear = table(...measured.rows, cost('keep-in-blocks', 1, 9));
  expect(chooseLowering(site, edits.bias, target, undefined, dear).lowering).toBe('keep-operator');
});

test('where nothing was measured the operator stays, and the choice says so', () => {
  const { site, edits, target } = gqa;
  expect(chooseLowering(site, edits.bias, { ...target, ep: 'webgpu' })).toMatchObject({
    lowering: 'keep-operator',
    why: 'nothing was measured on webgpu',
    measured: [],
  });
});

describe('what a site can have', () => {
  test.each([
    ['a bias of GroupQueryAttention', gqa, 'bias', ['at-pattern']],
    ['ACT of GroupQueryAttention', gqa, 'act', ['keep-operator', 'keep-in-blocks', 'at-pattern']],
    ['queries of GroupQueryAttention', gqa, 'scaled', ['keep-in-blocks', 'expand', 'at-pattern']],
    ['a bias of MultiHeadAttention', mha, 'bias', ['keep-in-blocks', 'at-pattern']],
    ['ACT of unfused attention', eager, 'act', ['keep-operator', 'keep-in-blocks', 'expand']],
    ['a bias with projections inside', packed, 'bias', ['keep-in-blocks', 'expand', 'at-pattern']],
  ] as const)('%s', (_, { site, edits, target }, which, out) => {
    const { ruledOut } = chooseLowering(site, edits[which], target);
    expect(ruledOut.map(({ lowering }) => lowering)).toEqual([...out, 'native']);
    for (const { reason } of ruledOut) expect(reason).toMatch(/^[a-z].{10}/);
  });

  test('ACT takes calls of one row by themselves, where the graph tells their length', () => {
    const { site, edits, target } = gqa;
    expect(chooseLowering(site, edits.act, target).besides).toEqual(['decode-step']);
    const untold = { ...target, graph: { ...target.graph, inputs: [] } };
    expect(chooseLowering(site, edits.act, untold).besides).toEqual([]);
  });

  test('blocks want a provider whose operator takes several rows and a cache', () => {
    const { site, edits, target } = gqa;
    const { ruledOut } = chooseLowering(site, edits.bias, { ...target, ep: 'webgpu' });
    expect(ruledOut.find(({ lowering }) => lowering === 'keep-in-blocks')?.reason).toMatch(/webgpu/);
  });
});

describe('a forced lowering', () => {
  test('is taken where the site can have it', () => {
    const { site, edits, target } = gqa;
    const forced = chooseLowering(site, edits.bias, target, 'expand');
    expect(forced).toMatchObject({ lowering: 'expand', why: 'as asked for' });
  });

  test.each([
    ['queries written out', gqa, 'scaled', 'expand', /'expand' has nothing to do.*keep-operator/],
    ['queries in blocks', gqa, 'scaled', 'keep-in-blocks', /nothing to gain/],
    ['ACT around the operator', gqa, 'act', 'keep-operator', /cannot reach the scores/],
    ['an unfused bias', eager, 'bias', 'expand', /products are nodes/],
  ] as const)(
    'is an error where it cannot be had: %s',
    (_, { site, edits, target }, which, forced, reason) => {
      expect(() => chooseLowering(site, edits[which], target, forced)).toThrow(reason);
      expect(() => chooseLowering(site, edits[which], target, forced)).toThrow('LOWERING_UNAVAILABLE');
    },
  );
});

test('what no lowering can do is refused with the reason of each', () => {
  const { site, edits, target } = packed;
  expect(() => chooseLowering(site, edits.act, target)).toThrow(/LOWERING_UNAVAILABLE.*projections inside/);
});

test('work is what lowerings differ in', () => {
  const { edits } = gqa;
  expect(workOf([...edits.scaled, ...edits.bias, ...edits.bias])).toBe('bias');
  expect(workOf([...edits.act, ...edits.bias])).toBe('bias + sink-calibration running initial');
  expect(workOf(edits.scaled)).toBe('');
});

test('the table of the repository covers every choice there is on cpu', () => {
  const { site, edits, target } = gqa;
  const choice = chooseLowering(site, edits.bias, target);
  expect(choice.measured.map(({ lowering }) => lowering)).toEqual([
    'keep-operator',
    'keep-in-blocks',
    'expand',
  ]);
  for (const { decode, prefill } of choice.measured) expect(decode * prefill).toBeGreaterThan(0);
  expect(COSTS.machine.cpu).toMatch(/\w+ \w+|\w{3}/);
});
