/** Every readable hook point of every exported fixture against PyTorch; logits untouched by the taps. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { locatePoints } from '../../sites/points/index.ts';
import { fixtureNames, loadFixture } from '../../testbed/fixtures/load.ts';
import {
  difference,
  feedsOf,
  goldenName,
  realRows,
  relativeDifference,
  run,
} from '../session/fixture-runs.test-support.ts';

const TOLERANCE = 1e-4;

/**
 * ONNX Runtime fuses chains of small operators, and does not where a tap looks between them. Without its optimiser
 * the computation is the same, bit for bit; with it, graphs that were not fused before export may round differently.
 */
const UNOPTIMISED = { graphOptimizationLevel: 'disabled' } as const;

describe.each(fixtureNames())('%s', (name) => {
  const fixture = loadFixture(name);
  const float = fixture.files.filter(({ dtype }) => dtype === 'fp32').map(({ file }) => file);

  test.each(float)('%s', async (path) => {
    const file = await openModel(join(fixture.folder, path));
    const recognition = recognise(file.model, { source: file.source });
    if (/embed_tokens/.test(path)) {
      expect(recognition.sites).toEqual([]);
      expect(recognition.refused).toHaveLength(1);
      return;
    }
    const points = locatePoints(recognition);
    const grouped = recognition.sites.some(
      ({ operator }) => operator === 'com.microsoft.GroupQueryAttention',
    );
    const named = new Set<string>();
    let compared = 0;
    for (const kase of fixture.cases) {
      for (const point of points)
        if (goldenName(point.name, path, kase) in kase.outputs) named.add(point.name);
      const feeds = await feedsOf(fixture, path, file, kase);
      const wanted = points.filter(({ name, source }) => named.has(name) && source.from !== 'nowhere');
      const { outputs, tapped } = await run(file, recognition, wanted, feeds);
      const { outputs: untouched } = await run(file, recognition, [], feeds);
      for (const [output, tensor] of Object.entries(untouched)) {
        const label = `${kase.name}: ${output} changed by taps`;
        if (grouped) expect(outputs[output]!.data, label).toEqual(tensor.data);
        else if (tensor.type === 'float32') {
          expect(relativeDifference(outputs[output]!, tensor), label).toBeLessThan(1e-5);
        }
      }
      const exact = await run(file, recognition, wanted, feeds, UNOPTIMISED);
      const { outputs: exactUntouched } = await run(file, recognition, [], feeds, UNOPTIMISED);
      for (const [output, tensor] of Object.entries(exactUntouched)) {
        expect(exact.outputs[output]!.data, `${kase.name}: ${output}, unoptimised`).toEqual(tensor.data);
      }
      const real = realRows(kase, path);
      for (const point of wanted) {
        const expected = kase.outputs[goldenName(point.name, path, kase)];
        if (!expected) continue;
        const label = `${kase.name}: ${point.name}`;
        const actual = tapped.get(point.name)!;
        expect(actual.dims, label).toEqual(expected.shape);
        const rowAxis = point.kind === 'hook_pattern' || point.kind === 'hook_attn_scores' ? 2 : 1;
        expect(difference(actual, expected, rowAxis, real), label).toBeLessThan(TOLERANCE);
        compared++;
      }
    }
    file.close();
    expect(compared).toBeGreaterThan(0);
    const missing = points
      .filter((point) => named.has(point.name) && point.source.from === 'nowhere')
      .map(({ name, source }) => `${name}: ${source.from === 'nowhere' ? source.reason : ''}`);
    expect(missing, 'golden points that cannot be read').toEqual([]);
  });
});
