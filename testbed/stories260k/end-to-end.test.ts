/**
 * stories260K, really pretrained, against float64: every built family of the golden file through the public API, in
 * a decomposed and a GroupQueryAttention graph. The same by hand, for any file of that layout:
 *
 *     npm run attune -- verify --end-to-end ../shared/golden/stories260K.json --weights ../shared/weights/stories260K
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type VerifiedCase, verifyEndToEnd } from '../../eval/verify/index.ts';

const SHARED = join(import.meta.dirname, '../../../shared');
const WEIGHTS = join(SHARED, 'weights/stories260K');
const GOLDEN = join(SHARED, 'golden/stories260K.json');

const FAMILIES = [
  'tokenizer',
  'detokenizer',
  'plain',
  'left_padding',
  'zerotuning',
  'act',
  'pine',
  'head_scale',
  'head_ablation',
  'tempscale',
  'single_head_ablation',
];

if (existsSync(WEIGHTS) && existsSync(GOLDEN)) suite();
else {
  test('stories260K end to end', () => {
    console.log(`not compared: ${WEIGHTS} or ${GOLDEN} is not there`);
  });
}

function suite(): void {
  const folder = mkdtempSync(join(tmpdir(), 'attune-end-to-end-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  describe.each(['decomposed', 'gqa'])('%s', (form) => {
    test('every family agrees with float64, and the rest is said not to be built', async () => {
      const report = await verifyEndToEnd({ golden: GOLDEN, weights: WEIGHTS, form });
      expect(report.cases.filter(({ pass }) => !pass)).toEqual([]);
      expect(new Set(report.cases.map(({ family }) => family))).toEqual(new Set(FAMILIES));
      expect(report.passed).toBe(report.cases.length);
      expect(report.passed).toBeGreaterThan(200);
      for (const family of FAMILIES) expect(report.notBuilt).not.toContain(family);
    });
  });

  test('a golden file that says otherwise fails, case by case', async () => {
    const golden = JSON.parse(readFileSync(GOLDEN, 'utf8'));
    const short = golden.plain.filter(({ prompt }: { prompt: string }) => prompt === 'short');
    short[0].last_logits.data[7] += 0.001;
    short[0].greedy.ids[3] += 1;
    short[0].attention_last_row.data[2][3][4] += 0.001;
    const tokenizer = golden.tokenizer.slice(0, 1);
    tokenizer[0].ids[1] += 1;
    const path = join(folder, 'wrong.json');
    const { header, prompts, settings } = golden;
    writeFileSync(
      path,
      JSON.stringify({ header, prompts, settings, plain: short, tokenizer, telepathy: [] }),
    );
    const report = await verifyEndToEnd({ golden: path, weights: WEIGHTS, form: 'gqa-fused-rotary' });
    const failed = report.cases.filter(({ pass }) => !pass);
    expect(failed.map(({ family, case: name }: VerifiedCase) => `${family} ${name}`)).toEqual([
      expect.stringMatching(/^tokenizer ids of "Once/),
      expect.stringMatching(/^tokenizer text of "Once/),
      'plain short last_logits',
      'plain short greedy',
      'plain short attention_last_row',
    ]);
    expect(report).toMatchObject({ failed: 5, notBuilt: ['telepathy'] });
    expect(failed[2]!.maxAbsError).toBeCloseTo(0.001, 4);
  });
}
