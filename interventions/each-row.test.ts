/** A setting per row of a batch gives each row what it gets alone. */
import { expect, test } from 'vitest';
import { batch, FORMS, load, logits, maxDifference, prompt } from '../hooks/model/attuned.test-support.ts';
import { eachRow, headAblation, headScale, zeroTuning } from './index.ts';

const settings = [
  [zeroTuning({ gamma: 2 }), zeroTuning({ gamma: [1, 2, 3, 4], tokens: [1, 4] })],
  [headAblation({ heads: [[0, 1]], kind: 'uniform' }), headAblation({ heads: [[1, 2]] })],
];

test.each(FORMS)('%s', async (form) => {
  const model = await load(form, { prepare: [zeroTuning.kind, headAblation.kind] });
  for (const rows of settings) {
    model.use([eachRow(rows)]);
    const together = await logits(model, batch(prompt, prompt));
    for (const [row, setting] of rows.entries()) {
      model.use([setting]);
      const alone = await logits(model, batch(prompt));
      const own = together.subarray(row * alone.length, (row + 1) * alone.length);
      expect(maxDifference(own, alone)).toBeLessThan(1e-5);
    }
  }
  model.use([eachRow(settings[0]!)]);
  await expect(logits(model, batch(prompt))).rejects.toThrow(/ROWS_MISMATCH.*batch of 1 rows.*expected 2/);
  await model.dispose();
});

test('settings of different interventions, and none, are refused', () => {
  expect(() => eachRow([zeroTuning({ gamma: 2 }), headScale({ scale: 2 })])).toThrow(
    /ROWS_DIFFER.*zerotuning and head-scale/,
  );
  expect(() => eachRow([])).toThrow(/ROWS_DIFFER.*no rows/);
});
