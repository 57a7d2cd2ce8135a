/**
 * Queries multiplied in every graph form: by 1 nothing changes, by a factor per head the pattern is the softmax of
 * the multiplied scores.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compile } from '../../hooks/compile/compile.ts';
import { feedsOf } from '../../hooks/session/fixture-runs.test-support.ts';
import { loadRuntime, type OrtTensor, startSession } from '../../hooks/session/index.ts';
import { DataType, openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { locatePoints } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';
import { fixtureNames, loadFixture } from '../../testbed/fixtures/load.ts';
import type { Edit, Knob } from '../plan.ts';

const KNOB = 'test.factor';
const UNOPTIMISED = { graphOptimizationLevel: 'disabled' } as const;

const files = fixtureNames().flatMap((name) => {
  const fixture = loadFixture(name);
  return fixture.files
    .filter(({ file, dtype }) => dtype === 'fp32' && !/embed_tokens/.test(file))
    .map(({ file }) => ({ name, fixture, path: file }));
});

/** Masks in the wild reach from -10000 to -inf. */
const MASKED_BELOW = -5000;

/** Scores hold more than queries times keys: T5 adds a position bias, Gemma 2 caps. */
const NOT_A_PRODUCT = /^(t5|gemma2)/;

describe.each(files)('$name $path', ({ name, fixture, path }) => {
  test('scaled queries', async () => {
    const file = await openModel(join(fixture.folder, path));
    const recognition = recognise(file.model, { source: file.source });
    const [site] = recognition.sites.filter(({ attention }) => attention === 'self') as [Site];
    const H = site.numHeads;
    const factors = Float32Array.from({ length: H }, (_, h) => [0.5, 1, 0, 1.7][h % 4]!);
    const edit: Edit = { kind: 'query-scale', site, build: () => KNOB };
    const knob: Knob = {
      name: KNOB,
      elemType: DataType.FLOAT,
      shape: ['settings', H],
      neutral: { dims: [1, H], data: new Float32Array(H).fill(1) },
    };
    if (site.projectsInside) {
      expect(() => compile(recognition, { knobs: [knob], edits: [edit] })).toThrow('INTERVENTION_REFUSED');
      return;
    }
    const runtime = await loadRuntime('node');
    const feeds = await feedsOf(fixture, path, file, fixture.cases[0]!);
    const [scores, pattern] = ['hook_attn_scores', 'hook_pattern'].map(
      (kind) => locatePoints(recognition).find((point) => point.site === site && point.kind === kind)!,
    );
    const run = async (plan: object, session: Readonly<Record<string, unknown>>, factor?: Float32Array) => {
      const compiled = compile(recognition, plan);
      await using live = await startSession(file, compiled, { runtime, session });
      if (factor) live.setKnob(KNOB, { dims: [1, H], data: factor });
      let taps: ReadonlyMap<string, OrtTensor> = new Map();
      live.listen((values) => {
        taps = values;
      });
      return { outputs: await live.run(feeds), taps };
    };
    const plan = { knobs: [knob], edits: [edit] };
    for (const options of [{}, UNOPTIMISED]) {
      const untouched = await run({}, options);
      const neutral = await run(plan, options);
      for (const [output, tensor] of Object.entries(untouched.outputs)) {
        expect(neutral.outputs[output]!.data, `${output} with ${JSON.stringify(options)}`).toEqual(
          tensor.data,
        );
      }
    }
    if (NOT_A_PRODUCT.test(name)) return;
    const before = (await run({ taps: [scores!] }, {})).taps.get(scores!.name)!;
    const after = (await run({ ...plan, taps: [pattern!] }, {}, factors)).taps.get(pattern!.name)!;
    expect(after.dims).toEqual(before.dims);
    const expected = softmaxOfScaled(before, factors);
    const worst = (after.data as Float32Array).reduce(
      (most, p, i) => (Number.isNaN(expected[i]) ? most : Math.max(most, Math.abs(p - expected[i]!))),
      0,
    );
    expect(worst).toBeLessThan(1e-5);
    file.close();
  });
});

/** Rows of [B,H,S,T] scores times their head's factor, masked keys staying masked; NaN where a row sees nothing. */
function softmaxOfScaled({ dims, data }: OrtTensor, factors: Float32Array): Float32Array {
  const scores = data as Float32Array;
  const [, H, S, T] = dims as [number, number, number, number];
  const result = new Float32Array(scores.length);
  for (let row = 0; row * T < scores.length; row++) {
    const factor = factors[Math.floor(row / S) % H]!;
    const scaled = Array.from(scores.subarray(row * T, (row + 1) * T), (score) =>
      score < MASKED_BELOW ? score : factor * score,
    );
    const max = Math.max(...scaled);
    const exps = scaled.map((score) => Math.exp(score - max));
    const sum = exps.reduce((a, b) => a + b, 0);
    result.set(
      exps.map((value) => value / sum),
      row * T,
    );
  }
  return result;
}
