/** What end-to-end verification refuses; that it verifies is shown with real weights in testbed/stories260k. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { verifyEndToEnd } from './index.ts';
import { differences, greedyDifferences, maxAbsError, meanNll } from './measure.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-verify-test-'));
afterAll(() => rmSync(folder, { recursive: true }));
const model = loadFixture('llama-gqa');
const prompt = model.greedy!.single.prompt;

function write(content: object): string {
  const path = join(folder, 'golden.json');
  const shared = {
    header: {
      format: 1,
      model: { head_dim: 16, bos: 1 },
      tolerance: { float32: { last_logits: { suggested: 1 } } },
    },
    prompts: { one: { text: 'one', ids: prompt } },
    settings: { gamma_tables: {}, act_heads: [], scale_heads: [], ablate_heads: [] },
  };
  writeFileSync(path, JSON.stringify({ ...shared, ...content }));
  return path;
}

test('a folder in Hub layout is verified as it is', async () => {
  const batch = {
    prompts: ['one'],
    padded_ids: { shape: [1, prompt.length], data: [prompt] },
    attention_mask: { shape: [1, prompt.length], data: [prompt.map(() => 1)] },
    last_logits: { shape: [1, 1], data: [[0]] },
    greedy: [{ ids: model.greedy!.single.tokens, fragile: [] }],
  };
  const golden = write({ left_padding: batch, streaming: [] });
  const report = await verifyEndToEnd({ golden, weights: model.folder });
  expect(report.cases).toEqual([
    expect.objectContaining({ case: 'one last_logits', lowering: 'as given', ep: 'cpu', pass: false }),
    expect.objectContaining({ family: 'left_padding', case: 'one greedy', maxAbsError: 0, pass: true }),
  ]);
  expect(report).toMatchObject({ passed: 1, failed: 1, notBuilt: ['streaming'] });
});

test.each([
  ['a family that does not fit', { left_padding: { prompts: 3 } }, /GOLDEN_MALFORMED.*left_padding\.prompts/],
  ['another format', { header: { format: 2 } }, /GOLDEN_MALFORMED.*header\.format/],
])('%s is refused', async (_, content, message) => {
  await expect(verifyEndToEnd({ golden: write(content), weights: model.folder })).rejects.toThrow(message);
});

test('files that are not there, a form that is not made', async () => {
  const golden = write({});
  const missing = join(folder, 'nowhere');
  await expect(verifyEndToEnd({ golden: missing, weights: model.folder })).rejects.toThrow(
    'GOLDEN_NOT_FOUND',
  );
  await expect(verifyEndToEnd({ golden, weights: missing })).rejects.toThrow('FILE_NOT_FOUND');
  await expect(verifyEndToEnd({ golden, weights: folder })).rejects.toThrow(
    /FILE_NOT_FOUND.*stories260K\.bin/,
  );
  await expect(verifyEndToEnd({ golden, weights: model.folder, form: 'gqa' })).rejects.toThrow(
    /FORM_UNKNOWN.*as given/,
  );
});

test('measures', () => {
  expect(maxAbsError([1, 2.5], [[1], [2]])).toBe(0.5);
  expect(maxAbsError([1, Number.NaN], [1, 2])).toBe(Number.MAX_VALUE);
  expect(maxAbsError([1], [1, 2])).toBe(Number.MAX_VALUE);
  expect(differences(['a', 'b'], ['a', 'c', 'd'])).toBe(2);
  expect(greedyDifferences([5, 6, 9], { ids: [5, 6, 7], fragile: [2] })).toBe(0);
  expect(greedyDifferences([5, 8, 7], { ids: [5, 6, 7], fragile: [2] })).toBe(1);
  expect(greedyDifferences([5, 6], { ids: [5, 6, 7], fragile: [] })).toBe(1);
  // Two tokens, the second with probability 1/4.
  const logits = { dims: [1, 2, 2], data: Float32Array.of(Math.log(3), 0, 0, 0) };
  expect(meanNll(logits, [0, 1])).toBeCloseTo(Math.log(4), 6);
});
