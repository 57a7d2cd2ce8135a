/** Head ablation: zero is a scale of 0, uniform is a row of equal weights over the keys that can be seen. */
import { describe, expect, test } from 'vitest';
import {
  activation,
  batch,
  FORMS,
  load,
  logits,
  mapRows,
  maxDifference,
  prompt,
} from '../hooks/model/attuned.test-support.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { headAblation, headScale } from './index.ts';

const PATTERN = 'blocks.0.attn.hook_pattern';

describe.each(FORMS)('%s', (form) => {
  test('zero equals a scale of 0', async () => {
    const model = await load(form, { prepare: [headAblation.kind, headScale.kind] });
    const inputs = batch(prompt);
    model.use([headScale({ scale: 0, heads: [[0, 2]] })]);
    const scaled = await logits(model, inputs);
    model.use([headAblation({ heads: [[0, 2]] })]);
    expect(await logits(model, inputs)).toEqual(scaled);
    await model.dispose();
  });

  test('uniform spreads a head over visible keys, padding left out, and leaves other heads alone', async () => {
    const model = await load(form, { prepare: [headAblation.kind] });
    const padding = 2;
    const inputs = batch(prompt, prompt.slice(padding));
    const before = await activation(model, inputs, PATTERN);
    model.use([headAblation({ heads: [[0, 1]], kind: 'uniform' })]);
    const after = await activation(model, inputs, PATTERN);
    const first = [0, padding];
    const isReal = (b: number, s: number) => s >= first[b]!;
    const expected = mapRows(before, (row, { b, h, s }) => {
      if (h !== 1 || !isReal(b, s)) return row;
      return row.map((_, t) => (t >= first[b]! && t <= s ? 1 / (s - first[b]! + 1) : 0));
    });
    const actual = mapRows(after, (row, { b, s }) => (isReal(b, s) ? row : row.map(() => 0)));
    const wanted = mapRows({ dims: before.dims, data: expected }, (row, { b, s }) =>
      isReal(b, s) ? row : row.map(() => 0),
    );
    expect(maxDifference(actual, wanted)).toBeLessThan(1e-6);
    expect(maxDifference(after.data, before.data)).toBeGreaterThan(0.1);
    await model.dispose();
  });
});

describe('refused', () => {
  test('heads that are not there, and an empty list', async () => {
    expect(() => headAblation({ heads: [] })).toThrow(/SPEC_INVALID.*head-ablation\.heads/);
    const model = await load(FORMS[1]);
    expect(() => model.use([headAblation({ heads: [[0, 9]] })])).toThrow(/HEAD_OUT_OF_RANGE.*head 9/);
    await model.dispose();
  });

  test('uniform where queries alone do not make the logits; zero still works there', async () => {
    const model = await load(FORMS[1]);
    const { facts } = model.attune;
    const t5: ModelFacts = { ...facts, config: { relative_attention_num_buckets: 32 } };
    const sinks: ModelFacts = {
      ...facts,
      decoder: facts.decoder.map((site) => ({ ...site, headSink: 'sink' })),
    };
    const packed: ModelFacts = {
      ...facts,
      decoder: facts.decoder.map((site) => ({ ...site, projectsInside: true })),
    };
    const uniform = headAblation({ heads: [[0, 1]], kind: 'uniform' });
    for (const refusing of [t5, sinks, packed]) {
      expect(() => uniform.kind.knobs(uniform, refusing)).toThrow('INTERVENTION_REFUSED');
      const { edits } = uniform.kind.plan(refusing);
      expect(edits!.map(({ kind }) => kind)).toEqual(['write', 'write']);
    }
    await model.dispose();
  });
});
