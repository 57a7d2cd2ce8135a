import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LOWERINGS, verifyGolden } from './verify.ts';

const golden = fileURLToPath(new URL('../testbed/golden', import.meta.url));

/** Families whose attention every lowering in the list must have shown. */
const ATTENTION = ['act', 'zerotuning', 'pine', 'var', 'vhr', 'imbalanced', 'tempscale'];

test.each(['cpu', 'wasm'] as const)(
  'every golden vector passes through every lowering that expresses it, on %s',
  async (ep) => {
    const { cases, notBuilt, failed } = await verifyGolden({ golden: [golden], ep });
    expect(cases.filter(({ pass }) => !pass)).toEqual([]);
    expect(failed).toBe(0);
    for (const family of ATTENTION) {
      const own = cases.filter((one) => one.family === family);
      expect(own.filter(({ lowering }) => lowering === 'expanded').length, family).toBeGreaterThan(2);
      expect(
        own.every((one) => one.maxAbsError < 1e-5),
        family,
      ).toBe(true);
    }
    expect(new Set(cases.map(({ lowering }) => lowering))).toEqual(new Set([...LOWERINGS, 'none']));
    const families = new Set(notBuilt.map(({ family }) => family));
    for (const family of ['chair', 'pope', 'opera'] as const) expect(families).toContain(family);
    for (const family of ['act', 'pine', 'var', 'vhr', 'streamingllm'] as const)
      expect(families).not.toContain(family);
  },
);

test('float16 stays within its tolerance', async () => {
  const report = await verifyGolden({ golden: [golden], precision: 'float16' });
  expect(report.cases.filter(({ pass }) => !pass)).toEqual([]);
});

test('a wrong expectation is a failed case with the quantity named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'golden-'));
  try {
    const document = JSON.parse(await readFile(join(golden, 'zerotuning.json'), 'utf8'));
    document[1].expected.output.data[0][0][3][0] += 0.01;
    await writeFile(join(folder, 'zerotuning.json'), JSON.stringify(document));
    const { cases, failed } = await verifyGolden({ golden: [folder], lowerings: ['expanded'] });
    expect(failed).toBe(1);
    const wrong = cases.find(({ pass }) => !pass)!;
    expect(wrong).toMatchObject({ family: 'zerotuning', case: 'zt-prefill', worst: 'output' });
    expect(wrong.maxAbsError).toBeCloseTo(0.01, 4);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an unknown lowering and an empty folder are refused', async () => {
  // @ts-expect-error: what a command line may pass
  await expect(verifyGolden({ golden: [golden], lowerings: ['magic'] })).rejects.toThrow(
    /LOWERING_UNKNOWN.*magic/,
  );
  await expect(verifyGolden({ golden: ['no-such-folder'] })).rejects.toThrow(/GOLDEN_NOT_FOUND/);
});
