import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DataType, openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { locatePoints } from '../../sites/points/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import type { Plan } from '../compile/index.ts';
import { completeFeeds, createSession, type HookedSession, loadRuntime, type OrtTensor } from './index.ts';

const runtime = await loadRuntime('node');
const file = await openModel(join(loadFixture('llama-gqa').folder, 'onnx/model.onnx'));
const recognition = recognise(file.model);
const points = locatePoints(recognition);
const point = (name: string) => points.find((candidate) => candidate.name === name)!;
afterAll(() => file.close());

/** z of the first layer times a knob. */
const plan: Plan = {
  taps: [point('blocks.1.attn.hook_z')],
  knobs: [
    {
      name: 'attune.factor',
      elemType: DataType.FLOAT,
      shape: ['n'],
      neutral: { dims: [1], data: Float32Array.of(1) },
    },
  ],
  edits: [
    {
      kind: 'write',
      point: point('blocks.0.attn.hook_z'),
      build: ({ emit }, value) => emit.op('Mul', [value, 'attune.factor'], 'scaled'),
    },
  ],
};
const feeds = completeFeeds(file.model.graph, { input_ids: [[1, 5, 9]] }, runtime);
const open: HookedSession[] = [];
afterAll(async () => {
  for (const session of open) await session.release();
});

async function start(): Promise<HookedSession> {
  const session = await createSession(file, recognition, plan, { runtime });
  open.push(session);
  return session;
}

describe('a hooked session', () => {
  test('looks like the session of the untouched model', async () => {
    const session = await start();
    expect(session.inputNames).toEqual(file.model.graph.inputs.map(({ name }) => name));
    expect(session.outputNames).toEqual(file.model.graph.outputs.map(({ name }) => name));
    expect(session.inputMetadata.map(({ name }) => name)).toEqual(session.inputNames);
    expect(Object.keys(await session.run(feeds))).toEqual(session.outputNames);
  });

  test('gives what was asked for, and taps only to listeners', async () => {
    const session = await start();
    expect(Object.keys(await session.run(feeds, ['logits']))).toEqual(['logits']);
    const heard: string[] = [];
    const stop = session.listen((taps) => void heard.push(...taps.keys()));
    expect(Object.keys(await session.run(feeds, ['logits']))).toEqual(['logits']);
    stop();
    await session.run(feeds);
    expect(heard).toEqual(['blocks.1.attn.hook_z']);
  });

  test('feeds neutral knobs, values that were set, and values computed per run', async () => {
    const session = await start();
    const logits = async () => (await session.run(feeds)).logits!.data as Float32Array;
    const untouched = await logits();
    session.setKnob('attune.factor', { dims: [1], data: Float32Array.of(2) });
    const doubled = await logits();
    expect(doubled).not.toEqual(untouched);
    session.resetKnobs();
    expect(await logits()).toEqual(untouched);
    session.feedKnobs(() => ({ 'attune.factor': { dims: [1], data: Float32Array.of(2) } }));
    expect(await logits()).toEqual(doubled);
    session.feedKnobs(undefined);
    expect(await logits()).toEqual(untouched);
  });

  test('refuses unknown knobs and wrong shapes, and runs after release', async () => {
    const session = await start();
    const value = { dims: [1], data: Float32Array.of(1) };
    expect(() => session.setKnob('attune.facto', value)).toThrow(/KNOB_UNKNOWN.*attune\.factor/);
    expect(() => session.setKnob('attune.factor', { dims: [1, 1], data: value.data })).toThrow(
      /KNOB_SHAPE.*\[1, 1\]/,
    );
    expect(() => session.setKnob('attune.factor', { dims: [2], data: value.data })).toThrow(/KNOB_SHAPE/);
    await session.release();
    await session.release();
    await expect(session.run(feeds)).rejects.toThrow(/SESSION_RELEASED/);
  });

  test('runs that bring settings of their own overlap without meeting, and end before the session goes', async () => {
    const session = await start();
    const under = (factor: number, heard: string[]) => ({
      settings: {
        knobs: session.knobTensors({ 'attune.factor': { dims: [1], data: Float32Array.of(factor) } }),
        listeners: new Set([(taps: ReadonlyMap<string, unknown>) => void heard.push(...taps.keys())]),
      },
    });
    const logits = async (run: Promise<{ outputs: Record<string, OrtTensor> }>) =>
      (await run).outputs.logits!.data;
    const one: string[] = [];
    const two: string[] = [];
    const alone = [
      await logits(session.pass(feeds, under(2, []))),
      await logits(session.pass(feeds, under(3, []))),
    ];
    const neutral = (await session.run(feeds)).logits!.data;
    const together = Promise.all([
      logits(session.pass(feeds, under(2, one))),
      logits(session.pass(feeds, under(3, two))),
      session.run(feeds).then(({ logits: plain }) => plain!.data),
    ]);
    await session.release();
    expect(await together).toEqual([...alone, neutral]);
    expect(alone[0]).not.toEqual(alone[1]);
    expect([one, two]).toEqual([['blocks.1.attn.hook_z'], ['blocks.1.attn.hook_z']]);
    await expect(session.run(feeds)).rejects.toThrow('SESSION_RELEASED');
  });

  test('a model without a file cannot refer to its weights', async () => {
    const path = join(loadFixture('llama-gqa').folder, 'onnx/model.onnx');
    const { readFileSync } = await import('node:fs');
    const bytes = await openModel(new Uint8Array(readFileSync(path)));
    await expect(
      createSession(bytes, recognise(bytes.model), {}, { runtime, weights: 'reference' }),
    ).rejects.toThrow(/WEIGHTS_WITHOUT_FILE/);
    const copied = await createSession(bytes, recognise(bytes.model), {}, { runtime });
    open.push(copied);
    expect((await copied.run(feeds)).logits!.dims.slice(0, 2)).toEqual([1, 3]);
  });
});

describe('completeFeeds', () => {
  const { graph } = file.model;
  test('fills in mask, positions and an empty cache', () => {
    expect(feeds.attention_mask!.dims).toEqual([1, 3]);
    expect(feeds['past_key_values.0.key']!.dims).toEqual([1, 2, 0, 16]);
  });

  test.each([
    [{ input_id: [[1]] }, /INPUT_UNKNOWN.*input_ids/],
    [{ input_ids: [[1, 2], [3]] }, /INPUT_RAGGED.*input_ids/],
    [{}, /INPUT_MISSING/],
  ])('refuses %j', (given, message) => {
    expect(() => completeFeeds(graph, given as never, runtime)).toThrow(message);
  });
});
