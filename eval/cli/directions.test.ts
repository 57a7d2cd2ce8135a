/** attune directions as a user runs it, and what it finds. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { accuracyOf, axisOf, heldOutAccuracy, type VectorPair } from '../../calibration/directions/axis.ts';
import { load } from '../../hooks/model/attuned.test-support.ts';
import { readDirections, steer } from '../../interventions/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { directionsCommand } from './directions.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-directions-'));
afterAll(() => rmSync(root, { recursive: true }));
const at = (name: string) => join(root, name);
const worlds = new URL('../../testbed/models/worlds-lm', import.meta.url).pathname;

async function directions(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof written) => ({ write: (text: string) => (written[name] += text) });
  const code = await directionsCommand(argv, { stdout: stream('stdout'), stderr: stream('stderr') });
  return { code, ...written };
}

const PAIRS = at('pairs.jsonl');
const things = ['apple', 'river', 'stone', 'table', 'horse', 'window', 'garden', 'letter'];
writeFileSync(
  PAIRS,
  things
    .map((one) => JSON.stringify({ positive: `The ${one} is red .`, negative: `The ${one} is old ?` }))
    .join('\n'),
);

test('what is found is written, read, and steers the model it was found in', async () => {
  const out = at('mood.safetensors');
  const { code, stdout } = await directions('--model', worlds, '--pairs', PAIRS, '--out', out, '--json');
  expect(code).toBe(0);
  const { layers } = JSON.parse(stdout) as { layers: { layer: number; heldOut: number[] }[] };
  const found = readDirections(out);
  expect(layers.map(({ layer }) => layer)).toEqual([...found.vectors.keys()]);
  for (const { heldOut } of layers) expect(heldOut[0]).toBeGreaterThan(0.9);
  expect(found.about).toMatchObject({ method: 'mean', pairs: '8' });
  const other = await load('llama-gqa');
  expect(() => other.use([steer({ directions: out })])).toThrow(/DIRECTION_WIDTH/);
  await other.dispose();
});

test('heads by held-out accuracy, and control vectors for others', async () => {
  const tiny = loadFixture('llama-gqa').folder;
  await directions(
    '--model',
    tiny,
    '--pairs',
    PAIRS,
    '--out',
    at('z.safetensors'),
    '--at',
    'z',
    '--heads',
    '3',
  );
  const heads = readDirections(at('z.safetensors'));
  const alive = [...heads.vectors.values()].flatMap((vector) =>
    Array.from({ length: vector.length / 16 }, (_, head) =>
      vector.slice(head * 16, head * 16 + 16).some(Boolean),
    ),
  );
  expect(alive.filter(Boolean)).toHaveLength(3);
  await directions('--model', tiny, '--pairs', PAIRS, '--out', at('v.gguf'), '--method', 'pca');
  const [first] = readDirections(at('v.gguf')).vectors.values();
  expect(Math.hypot(...first!)).toBeCloseTo(1, 5);
});

test('the mean and the principal axis, by hand', () => {
  const pair = (a: number[], b: number[]): VectorPair => [Float32Array.from(a), Float32Array.from(b)];
  const pairs = [pair([3, 1], [0, 0]), pair([5, -1], [0, 0]), pair([-1, 0], [0, 0])];
  const mean = axisOf(pairs, 'mean');
  expect(mean[0]).toBeCloseTo(7 / 3, 12);
  expect(mean[1]).toBeCloseTo(0, 12);
  // Σ d dᵀ = [[35, −2], [−2, 2]]: its leading eigenvector, by the quadratic formula.
  const value = (37 + Math.sqrt(33 * 33 + 16)) / 2;
  const [x, y] = [-2 / (value - 35), 1];
  const wanted = [x / Math.hypot(x, y), y / Math.hypot(x, y)].map((v) => v * Math.sign(x));
  const axis = axisOf(pairs, 'pca');
  expect(axis[0]).toBeCloseTo(wanted[0]!, 9);
  expect(axis[1]).toBeCloseTo(wanted[1]!, 9);
  expect(accuracyOf(pairs, axis)).toBeCloseTo(2 / 3, 12);
  expect(heldOutAccuracy(pairs, 'mean')).toBeCloseTo(2 / 3, 12);
});

test('bad pairs are refused by line, bad flags by name', async () => {
  const refused = async (text: string, message: RegExp) => {
    writeFileSync(at('bad.jsonl'), text);
    await expect(
      directions('--model', worlds, '--pairs', at('bad.jsonl'), '--out', at('x.gguf')),
    ).rejects.toThrow(message);
  };
  const good = '{"positive": "a", "negative": "b"}';
  await refused(`${good}\n{"positive": "a"}`, /PAIRS_INVALID.*line 2.*negative/);
  await refused(`${good}\n${good}\n{"positive": "a", "negative": "b", "more": 1}`, /PAIRS_INVALID.*line 3/);
  await refused(`${good}\n{`, /PAIRS_INVALID.*line 2/);
  await refused(good, /PAIRS_INVALID.*1 pairs/);
  const run = (...more: string[]) =>
    directions('--model', worlds, '--pairs', PAIRS, '--out', at('x.gguf'), ...more);
  await expect(run('--method', 'lda')).rejects.toThrow(/ARGUMENT_INVALID.*mean or pca/);
  await expect(run('--heads', '3')).rejects.toThrow(/ARGUMENT_INVALID.*--at z/);
  await expect(directions('--model', worlds)).rejects.toThrow(/ARGUMENT_MISSING.*--pairs/);
});
