/** docs/extending.md: its method runs as it is printed, and the kit has what it imports. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  activation,
  batch,
  FORMS,
  load,
  logits,
  mapRows,
  maxDifference,
  plainLogits,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import type { Intervention } from '../hooks/model/index.ts';

const here = dirname(fileURLToPath(import.meta.url));
const page = readFileSync(join(here, '../docs/extending.md'), 'utf8');
const [code] = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text]) => text!);

let recency: (parameters: { slope: number; layers?: number[]; heads?: number[] }) => Intervention;
// Beside the packages it imports.
const folder = mkdtempSync(join(here, '.extending-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  const file = join(folder, 'recency.ts');
  writeFileSync(file, code!.replace("'attune/interventions/kit'", "'../kit.ts'"));
  ({ recency } = await import(file));
});

test('is a method of about thirty lines', () => {
  expect(code!.trim().split('\n').length).toBeLessThanOrEqual(40);
});

describe.each(FORMS)('on %s', (form) => {
  let model: TestModel;
  beforeAll(async () => {
    model = await load(form);
  });
  afterAll(() => model.dispose());

  test('does what its comment says: softmax of the logits plus λ t, in the heads that were chosen', async () => {
    const slope = 0.3;
    model.use([]);
    const before = await activation(model, batch(prompt), 'blocks.0.attn.hook_pattern');
    model.use([recency({ slope, heads: [1] })]);
    const after = await activation(model, batch(prompt), 'blocks.0.attn.hook_pattern');
    const wanted = mapRows(before, (row, { h }) => {
      const raised = row.map((p, t) => (h === 1 ? p * Math.exp(slope * t) : p));
      const sum = raised.reduce((a, b) => a + b, 0);
      return raised.map((p) => p / sum);
    });
    expect(maxDifference(after.data, wanted)).toBeLessThan(1e-5);
    expect(maxDifference(after.data, before.data)).toBeGreaterThan(0.01);
  });

  test('is neutral at λ = 0, bit for bit', async () => {
    model.use([recency({ slope: 0 })]);
    expect(await logits(model, batch(prompt))).toEqual(await plainLogits(form, batch(prompt)));
  });

  test('names layer and bound', () => {
    expect(() => model.use([recency({ slope: 1, layers: [9] })])).toThrow(/LAYER_OUT_OF_RANGE.*layer 9/);
  });
});
