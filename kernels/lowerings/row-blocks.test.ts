/** The operator called block by block gives what one call gives: output, cache, positions. */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { emitter } from '../../onnx/emitter.ts';
import { changeNode, DataType, type Node } from '../../onnx/index.ts';
import { maxAbsError } from '../reference/index.ts';
import { anyLoud } from '../site/bias.ts';
import { asTensor } from '../verify/feeds.ts';
import { createRunner, type Feed } from '../verify/runner.ts';
import { attendBiased, tallShape } from './biased.ts';
import { floatKnob, type Lowered, lowered } from './lowered.ts';
import { D, feeds, gqa, H, OPSET, run } from './packed-gqa.test-support.ts';
import { planRowBlocks } from './row-blocks.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

/** With ln γ per head on the first key, or one that is neutral. */
function site(node: Node, blockRows: number, logWeight: number[] = [0]): Lowered {
  const emit = emitter(OPSET, 'site.');
  const S = emit.dim('packed', 1);
  const T = emit('Reshape', [emit.cast('total', DataType.INT64), emit.ints(1)]);
  const first = emit.cast(emit('Equal', [emit.range(T), emit.int(0)]), DataType.FLOAT); // [T]
  const bias = emit('Mul', [emit('Unsqueeze', ['site.log_weight', emit.ints(2, 3)]), first]); // [1, H|1, 1, T]
  const plan = blockRows > 0 && planRowBlocks(emit, (_key, make) => make(), { node, S, size: blockRows });
  const taken = plan && emit('And', [plan.long, anyLoud(emit, bias)]);
  const blocks = plan && taken ? { plan, taken, D } : undefined;
  attendBiased(emit, {
    node,
    position: 10,
    elemType: DataType.FLOAT,
    tall: tallShape(emit, S),
    bias,
    blocks,
  });
  const knob = floatKnob('site.log_weight', ['B', 'H'], logWeight, [1, logWeight.length], 'ln γ');
  return lowered(emit, { knobs: [knob] });
}

const shapes = fc.record({
  S: fc.integer({ min: 1, max: 70 }),
  past: fc.integer({ min: 0, max: 50 }),
  seed: fc.nat(),
});
const OUTPUTS = ['z', 'present_k', 'present_v'];
const LOUD = [0.7, -1.3, 0, 2];

test.each([
  { name: 'no rotary', runner: cpu },
  { name: 'rotary in halves', runner: cpu, rotary: { interleaved: false, dim: D } },
  { name: 'partial rotary, interleaved', runner: cpu, rotary: { interleaved: true, dim: D / 2 } },
  { name: 'rotary in halves', runner: wasm, rotary: { interleaved: false, dim: D } },
])('in blocks of 8 on $runner.ep: $name', async ({ runner, rotary }) => {
  await fc.assert(
    fc.asyncProperty(shapes, async ({ S, past, seed }) => {
      const given = feeds(1, S, past, seed);
      const [whole, blocks] = [0, 8].map((rows) =>
        run(runner, [site(gqa(rotary), rows, LOUD)], given, rotary),
      );
      for (const name of OUTPUTS) {
        const [a, b] = [asTensor((await whole!)[name]!), asTensor((await blocks!)[name]!)];
        expect(maxAbsError(a, b), name).toBeLessThan(2e-6);
      }
    }),
    { numRuns: 40 },
  );
});

test.each([0, 20])('with positions as an input, past %i', async (past) => {
  const rotary = { interleaved: false, dim: D };
  const S = 37;
  const given = feeds(1, S, past, 3);
  // Of a first prompt the operator reads the first position and counts on; later it reads them all.
  const jumping = Array.from({ length: S }, (_, s) => 5 + 2 * s);
  const positions: Feed = { elemType: DataType.INT64, dims: [1, S], values: jumping };
  const node = changeNode(gqa(rotary), { inputs: [...gqa(rotary).inputs, 'positions'] });
  const [whole, blocks, unmoved] = await Promise.all([
    run(cpu, [site(node, 0, LOUD)], { ...given, positions }, rotary),
    run(cpu, [site(node, 8, LOUD)], { ...given, positions }, rotary),
    run(cpu, [site(gqa(rotary), 8, LOUD)], given, rotary),
  ]);
  for (const name of OUTPUTS) {
    expect(maxAbsError(asTensor(whole[name]!), asTensor(blocks[name]!)), name).toBeLessThan(2e-6);
  }
  expect(maxAbsError(asTensor(whole.present_k!), asTensor(unmoved.present_k!))).toBeGreaterThan(0.1);
});

test('neutral knobs, a batch of several, and rows that end in padding take the whole call', async () => {
  const S = 40;
  /** A value that is no number at the last key reaches every row of a whole call, as 0 · NaN, and only the last block. */
  const inBlocks = async (given: Record<string, Feed>, logWeight?: number[]) => {
    const packed = Float32Array.from(given.packed!.values).fill(Number.NaN, given.packed!.values.length - 1);
    const poisoned = { ...given, packed: { ...given.packed!, values: packed } };
    const { z } = await run(cpu, [site(gqa(), 8, logWeight)], poisoned);
    const lastBatch = Array.from(z!.data).slice(-S * H * D);
    expect(lastBatch.at(-1)).toBeNaN();
    return !Number.isNaN(lastBatch[H * D - 1]);
  };
  const one = feeds(1, S, 0, 1);
  expect(await inBlocks(one, LOUD)).toBe(true);
  expect(await inBlocks(feeds(1, S, 20, 1), LOUD)).toBe(true);
  expect(await inBlocks(one)).toBe(false);
  expect(await inBlocks(feeds(2, S, 0, 1), LOUD)).toBe(false);
  const short = await run(cpu, [site(gqa(), 8, LOUD)], {
    ...one,
    seqlens: { ...one.seqlens!, values: [30] },
  });
  const whole = await run(cpu, [site(gqa(), 0, LOUD)], {
    ...one,
    seqlens: { ...one.seqlens!, values: [30] },
  });
  expect(asTensor(short.z!)).toEqual(asTensor(whole.z!));
});
