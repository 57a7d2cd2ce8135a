/** Golden vectors through the compiler: every family, way and provider, and what a report says of them. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { native, WHY_NOT } from '../../hooks/session/native/native.test-support.ts';
import { WAYS } from './compiled.ts';
import { type VectorsReport, verifyVectors } from './golden-vectors.ts';

const golden = fileURLToPath(new URL('../../testbed/golden', import.meta.url));

/** Where a machine has other work as well. */
const MINUTES = 900_000;

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

/** A folder with one golden file, changed. */
// biome-ignore lint/suspicious/noExplicitAny: a document as it is written
async function folderOf(name: string, change: (document: any) => unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'golden-'));
  folders.push(folder);
  const document = JSON.parse(await readFile(join(golden, name), 'utf8'));
  await writeFile(join(folder, name), JSON.stringify(change(document)));
  return folder;
}

/** Families of attention, and in how many ways at least the product computes each. */
const PRODUCT = { act: 3, zerotuning: 4, pine: 1, var: 3, vhr: 3, imbalanced: 2, tempscale: 2 };

let onCpu: VectorsReport;
beforeAll(async () => {
  onCpu = await verifyVectors({ golden: [golden] });
}, MINUTES);

const failuresOf = ({ cases }: VectorsReport) => cases.filter(({ pass }) => !pass);

test('every golden vector passes in every way that expresses it', () => {
  const { cases, notBuilt, failed } = onCpu;
  expect(failuresOf(onCpu)).toEqual([]);
  expect(failed).toBe(0);
  for (const [family, ways] of Object.entries(PRODUCT)) {
    const own = cases.filter((one) => one.family === family && one.state === 'product');
    const through = new Set(own.map(({ lowering }) => lowering));
    through.delete('none');
    expect(through.size, family).toBeGreaterThanOrEqual(ways);
  }
  const taken = new Set(cases.map(({ lowering }) => lowering));
  expect(taken).toEqual(new Set([...WAYS.map(({ name }) => name), 'none']));
  const missing = new Set(notBuilt.map(({ family }) => family));
  for (const family of ['chair', 'pope', 'opera'] as const) expect(missing).toContain(family);
  for (const family of ['act', 'pine', 'var', 'vhr'] as const) expect(missing).not.toContain(family);
});

test.skipIf(!native)(`and by the kernel of the native runtime${WHY_NOT}`, async () => {
  const report = await verifyVectors({ golden: [golden], lowerings: ['native'], runtime: native });
  expect(failuresOf(report)).toEqual([]);
  const own = report.cases.filter(({ lowering }) => lowering === 'gqa native');
  expect(new Set(own.map(({ family }) => family))).toEqual(new Set(['act', 'zerotuning']));
});

test('what no code that ships computes is told apart from what is proven', () => {
  const states = (family: string) =>
    new Set(onCpu.cases.filter((one) => one.family === family).map(({ state }) => state));
  expect(states('streamingllm')).toEqual(new Set(['reference']));
  expect(states('recycled_attention')).toEqual(new Set(['reference']));
  expect(states('retrieval_heads')).toEqual(new Set(['reference']));
  const reinforced = onCpu.cases.filter(({ family, case: id }) => family === 'vhr' && /reinforced/.test(id));
  expect(new Set(reinforced.map(({ state }) => state))).toEqual(new Set(['reference']));
});

test('on wasm too, each lowering once', { timeout: MINUTES }, async () => {
  const lowerings = ['gqa keep-in-blocks', 'gqa expand', 'attention keep-operator', 'decomposed at-pattern'];
  const report = await verifyVectors({ golden: [golden], ep: 'wasm', lowerings });
  expect(failuresOf(report)).toEqual([]);
  expect(new Set(report.cases.map(({ lowering }) => lowering))).toEqual(new Set([...lowerings, 'none']));
});

test('tolerances are relative where values are large', async () => {
  const value = 1.5e8;
  const one = await folderOf('zerotuning.json', (document) => document);
  const of = (actual: number) => async () => {
    const at = (data: number) => ({ shape: [1], data: Float64Array.of(data) });
    return [{ name: 'log-probability', actual: at(actual), expected: at(value) }];
  };
  const judged = async (actual: number) => {
    const report = await verifyVectors({
      golden: [one],
      lowerings: ['gqa keep-operator'],
      others: of(actual),
    });
    return report.cases[0]!.pass;
  };
  expect(await judged(value + 16)).toBe(true); // one step of float32 at this size
  expect(await judged(value * 1.001)).toBe(false);
  expect(await judged(Number.NaN)).toBe(false);
});

test('float16 stays within its tolerance', { timeout: MINUTES }, async () => {
  const lowerings = ['gqa keep-in-blocks', 'gqa expand', 'decomposed at-pattern'];
  const report = await verifyVectors({ golden: [golden], precision: 'float16', lowerings });
  expect(failuresOf(report)).toEqual([]);
});

test('a wrong expectation is a failed case with the quantity named', async () => {
  const wrong = await folderOf('zerotuning.json', (document) => {
    document[1].expected.output.data[0][0][3][0] += 0.01;
    return document;
  });
  const { cases, failed } = await verifyVectors({ golden: [wrong], lowerings: ['gqa expand'] });
  expect(failed).toBe(1);
  const found = cases.find(({ pass }) => !pass)!;
  expect(found).toMatchObject({ family: 'zerotuning', case: 'zt-prefill', worst: 'output' });
  expect(found.maxAbsError).toBeCloseTo(0.01, 4);
});

test('an unknown lowering and an empty folder are refused', async () => {
  await expect(verifyVectors({ golden: [golden], lowerings: ['magic'] })).rejects.toThrow(
    /LOWERING_UNKNOWN.*magic/,
  );
  await expect(verifyVectors({ golden: ['no-such-folder'] })).rejects.toThrow(/GOLDEN_NOT_FOUND/);
});
