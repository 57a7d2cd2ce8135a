/** Steering against its formulas in float64, on what flows at the layers it moves. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  activation,
  batch,
  FORMS,
  load,
  logits,
  maxDifference,
  plainLogits,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import type { Activation } from '../hooks/model/index.ts';
import { loadRuntime, type Runtime } from '../hooks/session/index.ts';
import { interventionFromJSON, steer } from './index.ts';
import {
  expectCachedAsRecomputed,
  expectRowsAsAlone,
  expectSameOnWasm,
} from './method-checks.test-support.ts';

const [M, H, D] = [32, 4, 16];
const wave = (width: number, phase: number) =>
  Array.from({ length: width }, (_, i) => Math.sin(1.7 * i + phase) * (1 + phase));
const directions = { 0: wave(M, 0.3), 1: wave(M, 0.8) };
const headwise = { 0: wave(H * D, 0.2), 1: wave(H * D, 0.5) };
const inputs = batch(prompt);
const POINT = 'blocks.0.hook_resid_post';

/** Every vector of `width` numbers after `move`. */
function each(x: Activation, width: number, move: (x: number[], at: number) => number[]): Float32Array {
  const result = new Float32Array(x.data.length);
  for (let i = 0; i * width < x.data.length; i++) {
    result.set(move([...x.data.subarray(i * width, (i + 1) * width)], i), i * width);
  }
  return result;
}
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const norm = (x: readonly number[]) => Math.sqrt(dot(x, x));
const add = (x: readonly number[], by: readonly number[], scale: number) =>
  x.map((value, i) => value + scale * by[i]!);
const unit = (x: readonly number[]) => x.map((value) => value / norm(x));
const u = unit(directions[0]);

describe.each(FORMS)('%s', (form) => {
  let model: TestModel;
  let before: Activation;
  beforeAll(async () => {
    model = await load(form);
    before = await activation(model, inputs, POINT);
  });
  afterAll(() => model.dispose());

  test.each([
    ['add', { strength: 1.5 }, (x: number[]) => add(x, directions[0], 1.5)],
    ['add', { strength: -2, unit: true }, (x: number[]) => add(x, u, -2)],
    ['project', {}, (x: number[]) => add(x, u, -dot(x, u))],
    ['project', { strength: 0.5 }, (x: number[]) => add(x, u, -0.5 * dot(x, u))],
    [
      'clamp',
      { range: [0.1, 0.4] },
      (x: number[]) => add(x, u, Math.min(Math.max(dot(x, u), 0.1), 0.4) - dot(x, u)),
    ],
    ['clamp', { range: [2, null] }, (x: number[]) => add(x, u, Math.max(dot(x, u), 2) - dot(x, u))],
    [
      'add',
      { strength: 1.5, preserveNorm: true },
      (x: number[]) => {
        const moved = add(x, directions[0], 1.5);
        return moved.map((value) => (value * norm(x)) / norm(moved));
      },
    ],
  ] as const)('%s %j in the stream', async (mode, more, formula) => {
    model.use([steer({ directions, layers: [0], mode, ...(more as object) })]);
    const after = await activation(model, inputs, POINT);
    expect(maxDifference(after.data, each(before, M, formula))).toBeLessThan(1e-5);
    expect(maxDifference(after.data, before.data)).toBeGreaterThan(0.05);
    expect(maxDifference(await logits(model, inputs), await plainLogits(form, inputs))).toBeGreaterThan(0.01);
  });

  test('chosen heads, each along its own part of the direction', async () => {
    model.use([]);
    const z = await activation(model, inputs, 'blocks.1.attn.hook_z');
    for (const [mode, formula] of [
      ['add', (x: number[], v: number[]) => add(x, v, 2)],
      ['project', (x: number[], v: number[]) => add(x, unit(v), -2 * dot(x, unit(v)))],
    ] as const) {
      model.use([
        steer({
          directions: headwise,
          at: 'z',
          layers: [1],
          heads: [
            [1, 2],
            [1, 3],
          ],
          mode,
          strength: 2,
        }),
      ]);
      const after = await activation(model, inputs, 'blocks.1.attn.hook_z');
      const wanted = each(z, D, (x, i) => {
        const head = i % H;
        return head < 2 ? x : formula(x, headwise[1].slice(head * D, (head + 1) * D));
      });
      expect(maxDifference(after.data, wanted)).toBeLessThan(1e-5);
      expect(maxDifference(after.data, z.data)).toBeGreaterThan(0.05);
    }
  });

  test.each([
    ['prompt', () => true],
    ['generated', () => false],
    ['answer', (s: number) => s === prompt.length - 1],
    [[2, 5], (s: number) => s >= 2 && s < 5],
  ] as const)('at %j of a prompt', async (positions, acts) => {
    model.use([steer({ directions, layers: [0], positions: positions as 'prompt' })]);
    const after = await activation(model, inputs, POINT);
    const wanted = each(before, M, (x, s) => (acts(s) ? add(x, directions[0], 1) : x));
    expect(maxDifference(after.data, wanted)).toBeLessThan(1e-5);
  });

  test('a strength of 0 is bit-exact, in every mode, place and gate', async () => {
    const plain = await plainLogits(form, inputs);
    const settings = [
      steer({ directions, strength: 0 }),
      steer({ directions, strength: 0, mode: 'project' }),
      steer({
        directions,
        strength: 0,
        mode: 'clamp',
        range: [1, 2],
        preserveNorm: true,
        positions: 'answer',
      }),
      steer({ directions: headwise, at: 'z', strength: 0, preserveNorm: true }),
      steer({ directions: headwise, at: 'z', strength: 0, mode: 'project', positions: [1, 4] }),
      steer({ directions, positions: 'generated' }),
    ];
    for (const made of settings) {
      model.use([made]);
      expect(await logits(model, inputs), JSON.stringify(made.toJSON().mode)).toEqual(plain);
    }
    model.use([]);
    expect(await logits(model, inputs)).toEqual(plain);
  });

  test('cached = recomputed, batch = single, padded = unpadded', async () => {
    const settings = [
      steer({ directions, mode: 'clamp', range: [0, 0.5], preserveNorm: true }),
      steer({ directions, positions: [1, prompt.length + 2] }),
      steer({ directions: headwise, at: 'z', strength: 3 }),
    ];
    for (const made of settings) await expectCachedAsRecomputed(model, made);
    for (const made of [
      ...settings.slice(0, 1),
      steer({ directions, positions: [1, 3] }),
      steer({ directions, positions: 'answer' }),
    ]) {
      await expectRowsAsAlone(model, () => made);
    }
  });
});

test('what is generated is steered, and the prompt is not', async () => {
  const model = await load('llama-gqa');
  const ids = [...prompt, 5];
  model.use([]);
  const plain = await activation(model, batch(ids), POINT);
  model.use([steer({ directions, positions: 'generated', layers: [0] })]);
  const seen: Float32Array[] = [];
  await model.runWithHooks([[POINT, ({ data }) => void seen.push(data.slice())]], (view) =>
    (view as TestModel).generate({ ...batch(prompt), max_new_tokens: 2, eos_token_id: null }),
  );
  expect(maxDifference(seen[0]!, plain.data.slice(0, prompt.length * M))).toBeLessThan(1e-5);
  expect(seen).toHaveLength(2);
  model.use([]);
  const next = await activation(model, batch([...prompt, await firstToken(model)]), POINT);
  const wanted = add([...next.data.slice(-M)], directions[0], 1);
  expect(maxDifference(seen[1]!, wanted)).toBeLessThan(1e-4);
  await model.dispose();
});

async function firstToken(model: TestModel): Promise<number> {
  const written = await model.generate({ ...batch(prompt), max_new_tokens: 1, eos_token_id: null });
  return Number((written.tolist() as bigint[][])[0]!.at(-1));
}

test('other strengths and directions for the same layers build nothing; wasm = CPU', async () => {
  const real = await loadRuntime('node');
  let built = 0;
  const runtime = {
    ...real,
    Tensor: real.Tensor,
    listSupportedBackends: () => [],
    InferenceSession: {
      create: (bytes: Uint8Array, options?: object) => {
        built++;
        return real.InferenceSession.create(bytes, options);
      },
    },
  } as unknown as Runtime;
  const model = await load('llama-gqa', { runtime, interventions: [steer({ directions })] });
  await logits(model, inputs);
  const count = built;
  for (const made of [
    steer({ directions, strength: 3 }),
    steer({ directions: { 0: wave(M, 2), 1: wave(M, 3) }, unit: true }),
  ]) {
    model.use([made]);
    await logits(model, inputs);
  }
  expect(built).toBe(count);
  await model.dispose();
  await expectSameOnWasm('llama-gqa', steer({ directions, mode: 'project', preserveNorm: true }));
});

test('half-precision streams', async () => {
  const plain = await load('llama-gqa');
  const half = await load('llama-gqa', { dtype: 'fp16' });
  for (const made of [
    steer({ directions, strength: 0.5 }),
    steer({ directions, mode: 'project', preserveNorm: true, positions: 'answer' }),
  ]) {
    plain.use([made]);
    half.use([made]);
    const found = (await half(inputs)).logits.to('float32').data as Float32Array;
    expect(maxDifference(found, await logits(plain, inputs))).toBeLessThan(0.1);
  }
  await plain.dispose();
  await half.dispose();
});

test('what does not fit is refused before anything runs', async () => {
  const model = await load('llama-gqa');
  const use = (parameters: object) => () => model.use([steer({ directions, ...parameters })]);
  expect(use({ directions: { 0: wave(30, 1) } })).toThrow(/DIRECTION_WIDTH.*30 numbers.*32/);
  expect(use({ directions: { 2: wave(M, 1) } })).toThrow(/LAYER_OUT_OF_RANGE.*layer 2.*layers 0 to 1/);
  expect(use({ layers: [0, 3] })).toThrow(/DIRECTION_MISSING.*layer 3.*0, 1/);
  expect(use({ at: 'z' })).toThrow(/DIRECTION_WIDTH.*64: 4 heads of 16/);
  expect(use({ directions: { 0: new Array(M).fill(0) } })).toThrow(/DIRECTIONS_INVALID.*layer 0.*zeros/);
  expect(use({ directions: { 0: wave(M, 1), 1: wave(M - 1, 1) } })).toThrow(
    /DIRECTIONS_INVALID.*layer 1.*31/,
  );
  expect(use({ directions: { 0: [Number.NaN, 1] } })).toThrow(/SPEC_INVALID.*directions/);
  expect(use({ mode: 'clamp' })).toThrow(/SPEC_INVALID.*steer\.range.*clamp needs/);
  expect(use({ range: [0, 1] })).toThrow(/SPEC_INVALID.*add has no range/);
  expect(use({ mode: 'clamp', range: [2, 1] })).toThrow(/SPEC_INVALID.*lo is above hi/);
  expect(use({ directions: 'nowhere.safetensors' })).toThrow(/FILE_NOT_FOUND.*nowhere/);
  await model.dispose();
});

test('its JSON gives the same specification back', () => {
  const made = steer({ directions, mode: 'clamp', range: [null, 1], positions: [1, 4] });
  expect(interventionFromJSON(JSON.parse(JSON.stringify(made))).hash).toBe(made.hash);
});
