/** A GroupQueryAttention taken apart gives what it gave. */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { emitter } from '../../onnx/emitter.ts';
import { changeNode, DataType, type Node } from '../../onnx/index.ts';
import { maxAbsError } from '../reference/index.ts';
import { asTensor } from '../verify/feeds.ts';
import { createRunner } from '../verify/runner.ts';
import { expandedAttention } from './expanded.ts';
import { openGroupQueryAttention } from './group-query-attention.ts';
import { type Lowered, lowered } from './lowered.ts';
import { D, feeds, gqa, OPSET, run } from './packed-gqa.test-support.ts';

const cpu = await createRunner('cpu');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
});

const untouched = (node: Node): Lowered => ({ ...lowered(emitter(OPSET)), nodes: [node] });
const shapes = fc
  .record({
    B: fc.integer({ min: 1, max: 3 }),
    S: fc.integer({ min: 1, max: 70 }),
    past: fc.integer({ min: 0, max: 50 }),
    seed: fc.nat(),
  })
  // The operator takes a past with several new rows for a batch of one only.
  .map((shape) => ({ ...shape, past: shape.B > 1 && shape.S > 1 ? 0 : shape.past }));

test.each([
  { name: 'halves', rotary: { interleaved: false, dim: D } },
  { name: 'interleaved', rotary: { interleaved: true, dim: D } },
  { name: 'partial', rotary: { interleaved: false, dim: D / 2 } },
])('taken apart, rotary $name and the cache are what the operator makes', async ({ rotary }) => {
  await fc.assert(
    fc.asyncProperty(shapes, async ({ B, S, past, seed }) => {
      const given = feeds(B, S, past, seed);
      const node = gqa(rotary);
      const { opening, site } = openGroupQueryAttention({
        name: 'site',
        opset: OPSET,
        elemType: DataType.FLOAT,
        node,
        D,
        rotaryDim: rotary.dim,
      });
      const plain = await run(cpu, [untouched(node)], given, rotary);
      const apart = await run(
        cpu,
        [opening, expandedAttention(site, { edits: [], blockBytes: 1 })],
        given,
        rotary,
      );
      for (const name of ['z', 'present_k', 'present_v']) {
        expect(maxAbsError(asTensor(apart[name]!), asTensor(plain[name]!)), name).toBeLessThan(2e-6);
      }
    }),
    { numRuns: 60 },
  );
});

test.each([
  { B: 1, S: 9, past: 0 },
  { B: 2, S: 9, past: 0 },
  { B: 1, S: 9, past: 20 },
  { B: 2, S: 1, past: 20 },
])(
  'taken apart, positions the operator is given are read as it reads them: $B × $S after $past',
  async ({ B, S, past }) => {
    const rotary = { interleaved: false, dim: D };
    const given = feeds(B, S, past, 5);
    const node = changeNode(gqa(rotary), { inputs: [...gqa(rotary).inputs, 'positions'] });
    const values = Array.from({ length: B * S }, (_, i) => 5 + 2 * (i % S) + 3 * Math.floor(i / S));
    const all = { ...given, positions: { elemType: DataType.INT64, dims: [B, S], values } };
    const place = { name: 'site', opset: OPSET, elemType: DataType.FLOAT, D };
    const { opening, site } = openGroupQueryAttention({ ...place, node });
    const parts = [opening, expandedAttention(site, { edits: [] })];
    const [plain, apart] = [
      await run(cpu, [untouched(node)], all, rotary),
      await run(cpu, parts, all, rotary),
    ];
    for (const name of ['z', 'present_k', 'present_v']) {
      expect(maxAbsError(asTensor(apart[name]!), asTensor(plain[name]!)), name).toBeLessThan(2e-6);
    }
    // What the operator counts by itself is something else.
    const counted = await run(cpu, [untouched(gqa(rotary))], given, rotary);
    expect(maxAbsError(asTensor(plain.present_k!), asTensor(counted.present_k!))).toBeGreaterThan(0.1);
  },
);
