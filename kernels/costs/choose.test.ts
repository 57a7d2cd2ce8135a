import { expect, test } from 'vitest';
import { COSTS, type CostTable, candidatesFor, chooseLowering, LOWERING_CHOICES } from './choose.ts';

const cost = (lowering: (typeof LOWERING_CHOICES)[number], S: number, ratio: number, ep = 'cpu') => ({
  ep,
  shape: 'any',
  method: 'logWeights' as const,
  lowering,
  S,
  T: 2048,
  ratio,
});
const table: CostTable = {
  command: '',
  clock: 'cpu',
  machine: {},
  rows: [
    cost('fused', 1, 1),
    cost('fused', 2048, 1.3),
    cost('fused-blocks', 1, 1.05),
    cost('fused-blocks', 2048, 0.7),
    cost('expanded', 1, 1.1),
    cost('expanded', 2048, 1.2),
  ],
};
const query = { ep: 'cpu', method: 'logWeights', candidates: LOWERING_CHOICES } as const;

test('the cheapest over decoding and prompts is taken, of those that can', () => {
  expect(chooseLowering(query, table)).toMatchObject({
    lowering: 'fused-blocks',
    why: 'measured cheapest on cpu',
  });
  expect(chooseLowering({ ...query, candidates: ['fused', 'expanded'] }, table).lowering).toBe('fused');
  expect(chooseLowering({ ...query, candidates: ['expanded'] }, table).lowering).toBe('expanded');
  const dear = { ...table, rows: [...table.rows, cost('fused-blocks', 1, 9)] };
  expect(chooseLowering(query, dear).lowering).toBe('fused');
});

test('the expanded form has to be cheaper by a third', () => {
  const among = (expanded: number) =>
    chooseLowering(
      { ...query, candidates: ['fused', 'expanded'] },
      {
        ...table,
        rows: [
          cost('fused', 1, 1),
          cost('fused', 2048, 1),
          cost('expanded', 1, 1),
          cost('expanded', 2048, expanded),
        ],
      },
    ).lowering;
  expect([0.9, 0.7, 0.65].map(among)).toEqual(['fused', 'fused', 'expanded']);
});

test('where nothing was measured the first candidate is, and says so', () => {
  expect(chooseLowering({ ...query, ep: 'webgpu' }, table)).toMatchObject({
    lowering: 'fused',
    why: 'nothing was measured on webgpu',
    measured: [],
  });
});

test('a choice can be forced, but not to what the site lacks', () => {
  expect(chooseLowering({ ...query, forced: 'expanded' }, table)).toMatchObject({
    lowering: 'expanded',
    why: 'as asked for',
  });
  expect(() => chooseLowering({ ...query, candidates: ['fused'], forced: 'expanded' }, table)).toThrow(
    /LOWERING_UNAVAILABLE.*expanded/,
  );
});

test('providers whose operator refuses several rows and a cache have no blocks', () => {
  const site = { groupQuery: true, fused: true };
  expect(candidatesFor('logWeights', { ...site, ep: 'webgpu' })).toEqual(['fused', 'expanded']);
  expect(candidatesFor('logWeights', { ...site, ep: 'wasm' })).toContain('fused-blocks');
  expect(candidatesFor('var', { ...site, ep: 'cpu' })).toEqual(['expanded']);
});

test('the table of the repository covers every choice there is on cpu', () => {
  for (const method of ['headScale', 'logWeights', 'logWeights per head'] as const) {
    const candidates = candidatesFor(method, { ep: 'cpu', groupQuery: true, fused: true });
    const { measured } = chooseLowering({ ep: 'cpu', method, candidates });
    expect(measured.map(({ lowering }) => lowering)).toEqual(candidates);
    for (const { decode, prefill } of measured) expect(decode * prefill).toBeGreaterThan(0);
  }
  expect(COSTS.machine.cpu).toBeTruthy();
});
