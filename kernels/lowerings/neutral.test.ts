/** Neutral knobs leave a fused operator's output bit for bit; a GroupQueryAttention taken apart gives what it gave. */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { emitter } from '../../onnx/emitter.ts';
import { changeNode, DataType, floatTensor, type Node } from '../../onnx/index.ts';
import type { Edit } from '../edits/edit.ts';
import { headScale } from '../edits/head-scale.ts';
import { logWeights } from '../edits/log-weights.ts';
import { logitBias } from '../edits/logit-bias.ts';
import { temperature } from '../edits/temperature.ts';
import { maxAbsError, tensor } from '../reference/index.ts';
import { asTensor } from '../verify/feeds.ts';
import { createRunner, type Runner } from '../verify/runner.ts';

import { expandedAttention } from './expanded.ts';
import { fusedAttention } from './fused.ts';
import { openGroupQueryAttention } from './group-query-attention.ts';
import { type Lowered, lowered } from './lowered.ts';
import { D, feeds, gqa, H, OPSET, run } from './packed-gqa.test-support.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

const untouched = (node: Node): Lowered => ({ ...lowered(emitter(OPSET)), nodes: [node] });
const fusedWith = (node: Node, edits: readonly Edit[]) =>
  fusedAttention(
    {
      name: 'site',
      opset: OPSET,
      elemType: DataType.FLOAT,
      H,
      node,
      S: [{ value: 'packed', axis: 1 }],
      T: [{ scalar: 'total' }],
      z: { value: 'z', layout: 'BS(ND)' },
    },
    edits,
  );

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
  { runner: cpu, edits: [headScale.with()] },
  { runner: cpu, edits: [logWeights.with({ keys: 'first' })] },
  { runner: cpu, edits: [logitBias.with(), logWeights.with({ keys: 'given' }), headScale.with()] },
  { runner: wasm, edits: [logWeights.with({ keys: 'first' }), headScale.with()] },
] satisfies { runner: Runner; edits: Edit[] }[])(
  'neutral knobs are bit-exact on $runner.ep: $edits',
  async ({ runner, edits }) => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ B, S, past, seed }) => {
        const given = feeds(B, S, past, seed);
        const plain = await run(runner, [untouched(gqa())], given);
        const edited = await run(runner, [fusedWith(gqa(), edits)], given);
        expect(edited.z!.data).toEqual(plain.z!.data);
      }),
      { numRuns: 60 },
    );
  },
);

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

test('a parameter that is not neutral changes the output', async () => {
  const given = feeds(1, 3, 2, 1);
  const site = fusedWith(gqa(), [logWeights.with({ keys: 'first' })]);
  const plain = await run(cpu, [site], given);
  const loud = {
    ...site,
    knobs: site.knobs.map((knob) =>
      knob.name.endsWith('log_weight')
        ? { ...knob, neutral: floatTensor('', Array(H).fill(2), [1, H]) }
        : knob,
    ),
  };
  const edited = await run(cpu, [loud], given);
  const shape = tensor(plain.z!.dims, Array.from(plain.z!.data));
  expect(maxAbsError(asTensor(edited.z!), shape)).toBeGreaterThan(1e-2);
});

test('an edit that needs probabilities is refused while the operator stays', () => {
  expect(() => fusedWith(gqa(), [temperature.with()])).toThrow(/LOWERING_LACKS_EDIT.*temperature.*expanded/);
});
