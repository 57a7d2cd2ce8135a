/** Every readable hook point of every exported fixture against PyTorch; logits untouched by the taps. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  fixtureNames,
  floats,
  type GoldenCase,
  type GoldenTensor,
  loadFixture,
} from '../../testbed/fixtures/load.ts';
import { type OnnxFile, openModel } from '../onnx/index.ts';
import { type HookPoint, isFused, locatePoints } from '../points/index.ts';
import { completeFeeds, createSession, loadRuntime, type Nested, type OrtTensor } from '../session/index.ts';
import { type Recognition, recognise } from '../sites/index.ts';

const TOLERANCE = 1e-4;
const runtime = await loadRuntime('node');

/** Golden tensors hold rows for padding, too; what a model computes there means nothing. */
function realRows(kase: GoldenCase): boolean[][] {
  const mask = kase.inputs.attention_mask;
  const lead = Object.values(kase.inputs)[0]!;
  const [B = 1, S = 1] = lead.shape;
  const values = mask ? flat(mask) : new Array<number>(B * S).fill(1);
  return Array.from({ length: B }, (_, b) => values.slice(b * S, (b + 1) * S).map((value) => value === 1));
}

function flat(tensor: GoldenTensor): number[] {
  if (tensor.dtype === 'float32') return Array.from(floats(tensor));
  const bytes = Uint8Array.from(Buffer.from(tensor.data, 'base64'));
  return Array.from(new BigInt64Array(bytes.buffer), Number);
}

function nested(values: readonly number[], shape: readonly number[]): Nested {
  const [length, ...rest] = shape;
  if (length === undefined) return values[0]!;
  const stride = values.length / length;
  return Array.from({ length }, (_, i) => nested(values.slice(i * stride, (i + 1) * stride), rest));
}

/** Largest difference over rows of real tokens. `axis` is where the rows (S) stand. */
function difference(actual: OrtTensor, expected: GoldenTensor, axis: number, real: boolean[][]): number {
  const want = floats(expected);
  const have = actual.data as Float32Array;
  const dims = expected.shape;
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const rows = dims[axis]!;
  const perBatch = dims.slice(1, axis).reduce((a, b) => a * b, 1);
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    const row = Math.floor(i / inner) % rows;
    const batch = Math.floor(i / (inner * rows * perBatch));
    if (real[batch]?.[row] === false) continue;
    worst = Math.max(worst, Math.abs(want[i]! - have[i]!));
  }
  return worst;
}

/**
 * ONNX Runtime fuses chains of small operators, and does not where a tap looks between them. Without its optimiser
 * the computation is the same, bit for bit; with it, decomposed graphs may round differently.
 */
const UNOPTIMISED = { graphOptimizationLevel: 'disabled' } as const;

async function run(
  file: OnnxFile,
  recognition: Recognition,
  taps: readonly HookPoint[],
  feeds: Record<string, OrtTensor>,
  session = {},
) {
  const hooked = await createSession(file, recognition, { taps }, { runtime, session });
  const tapped = new Map<string, OrtTensor>();
  hooked.listen((values) => {
    for (const [point, tensor] of values) tapped.set(point, tensor);
  });
  const outputs = await hooked.run(feeds);
  await hooked.release();
  return { outputs, tapped };
}

/** Largest difference relative to the largest value. */
function relativeDifference(actual: OrtTensor, expected: OrtTensor): number {
  const have = actual.data as Float32Array;
  const want = expected.data as Float32Array;
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    scale = Math.max(scale, Math.abs(want[i]!));
    worst = Math.max(worst, Math.abs(want[i]! - have[i]!));
  }
  return worst / scale;
}

describe.each(fixtureNames())('%s', (name) => {
  const fixture = loadFixture(name);
  const float = fixture.files.filter(({ dtype }) => dtype === 'fp32');
  const opened: OnnxFile[] = [];
  afterAll(() => {
    for (const file of opened) file.close();
  });

  test.each(float.map(({ file }) => file))('%s', async (path) => {
    const file = await openModel(join(fixture.folder, path));
    opened.push(file);
    const recognition = recognise(file.model, { source: file.source });
    const points = locatePoints(recognition);
    const inputs = new Set(file.model.graph.inputs.map((input) => input.name));
    let compared = 0;
    for (const kase of fixture.cases) {
      const given = Object.fromEntries(
        Object.entries(kase.inputs)
          .filter(([input]) => inputs.has(input))
          .map(([input, tensor]) => [input, nested(flat(tensor), tensor.shape)]),
      );
      if (Object.keys(given).length === 0) continue;
      const feeds = completeFeeds(file.model.graph, given, runtime);
      const padded = realRows(kase).some((row) => row.includes(false));
      const wanted = points.filter((point) => point.name in kase.outputs && point.source.from !== 'nowhere');
      expect(wanted.length, `${kase.name}: no golden point is readable`).toBeGreaterThan(0);
      const { outputs, tapped: taps } = await run(file, recognition, wanted, feeds);
      const { outputs: untouched } = await run(file, recognition, [], feeds);
      const fused = points.every(({ site }) => site === undefined || isFused(site));
      for (const [output, tensor] of Object.entries(untouched)) {
        const label = `${kase.name}: ${output} changed by taps`;
        if (fused) expect(outputs[output]!.data, label).toEqual(tensor.data);
        else if (tensor.type === 'float32')
          expect(relativeDifference(outputs[output]!, tensor), label).toBeLessThan(1e-5);
      }
      const exact = await run(file, recognition, wanted, feeds, UNOPTIMISED);
      const { outputs: exactUntouched } = await run(file, recognition, [], feeds, UNOPTIMISED);
      for (const [output, tensor] of Object.entries(exactUntouched)) {
        expect(exact.outputs[output]!.data, `${kase.name}: ${output}, unoptimised`).toEqual(tensor.data);
      }
      // Exported as they are, GQA graphs read padding on the left; that is for the wrapper to put right.
      if (padded && points.some(({ site }) => site?.form === 'P1a' || site?.form === 'P1b')) continue;
      for (const point of wanted) {
        const expected = kase.outputs[point.name]!;
        const actual = taps.get(point.name)!;
        expect(actual.dims, `${kase.name}: ${point.name}`).toEqual(expected.shape);
        const rowAxis = point.kind === 'hook_pattern' || point.kind === 'hook_attn_scores' ? 2 : 1;
        expect(
          difference(actual, expected, rowAxis, realRows(kase)),
          `${kase.name}: ${point.name}`,
        ).toBeLessThan(TOLERANCE);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(0);
    const missing = missingPoints(points, fixture.cases);
    expect(missing, 'golden points that cannot be read').toEqual([]);
  });
});

/** Points PyTorch gave values for and the graph does not offer; none is expected of these exports. */
function missingPoints(points: readonly HookPoint[], cases: readonly GoldenCase[]): string[] {
  const wanted = new Set(
    cases.flatMap((kase) => Object.keys(kase.outputs)).filter((name) => name.includes('hook_')),
  );
  return points
    .filter((point) => wanted.has(point.name) && point.source.from === 'nowhere')
    .map(
      (point) =>
        `${point.name}: ${point.source.from === 'nowhere' ? point.source.reason : ''}${point.site && isFused(point.site) ? ' (fused)' : ''}`,
    );
}
