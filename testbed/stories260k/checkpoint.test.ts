/** The reader on made-up checkpoints; the real one is compared in convert.test.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readCheckpoint } from './checkpoint.ts';
import { widenHeads } from './widen.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len */
const HEADER = [8, 3, 1, 2, 1, 5, 4];
const FLOATS = 5 * 8 + (2 * 64 + 2 * 4 * 8 + 3 * 3 * 8 + 2 * 8) + 8 + 4 * 4;

/** A checkpoint whose float i is i. */
function write(name: string, header = HEADER, floats = FLOATS): string {
  const path = join(folder, name);
  const values = Float32Array.from({ length: floats }, (_, i) => i);
  writeFileSync(
    path,
    Buffer.concat([Buffer.from(Int32Array.from(header).buffer), Buffer.from(values.buffer)]),
  );
  return path;
}

test('blocks come in the order of the format; q and k rows are half-split', () => {
  const { config, parameters } = readCheckpoint(write('whole.bin'));
  expect(config).toMatchObject({
    numHeads: 2,
    numKeyValueHeads: 1,
    headDim: 4,
    vocabSize: 5,
    maxPositions: 4,
  });
  const firstColumn = (name: string) =>
    [...parameters.get(name)!].filter((_, i) => i % 8 === 0).map((value) => (value - 48) / 8);
  expect(parameters.get('model.embed_tokens.weight')![0]).toBe(0);
  expect(parameters.get('model.layers.0.input_layernorm.weight')![0]).toBe(40);
  // wq starts at float 48: within each head of 4 rows the even ones, then the odd ones.
  expect(firstColumn('model.layers.0.self_attn.q_proj.weight')).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  expect(firstColumn('model.layers.0.self_attn.k_proj.weight')).toEqual([8, 10, 9, 11]);
  expect(firstColumn('model.layers.0.self_attn.v_proj.weight')).toEqual([12, 13, 14, 15]);
  expect(parameters.get('model.norm.weight')![0]).toBe(FLOATS - 16 - 8);
});

test('widened heads keep pairs apart by half the new size and the scale of the old one', () => {
  const original = readCheckpoint(write('narrow.bin'));
  const { config, parameters } = widenHeads(original, 8);
  const name = 'model.layers.0.self_attn.k_proj.weight';
  const row = (weights: Float32Array, i: number) => [...weights.subarray(i * 8, i * 8 + 8)];
  const [wide, narrow] = [parameters.get(name)!, original.parameters.get(name)!];
  expect([0, 1, 4, 5].map((i) => row(wide, i))).toEqual([0, 1, 2, 3].map((i) => row(narrow, i)));
  for (const i of [2, 3, 6, 7]) expect(row(wide, i)).toEqual(new Array<number>(8).fill(0));
  expect(config.attentionScale).toBe(0.5);
  expect(config.inverseFrequencies).toEqual([1, 0.01, 0, 0]);
});

test.each([
  { name: 'short.bin', header: HEADER, floats: FLOATS - 1 },
  { name: 'long.bin', header: HEADER, floats: FLOATS + 1 },
  { name: 'untied.bin', header: [8, 3, 1, 2, 1, -5, 4], floats: FLOATS + 40 },
  { name: 'header.bin', header: [8, 3], floats: 0 },
])('$name is refused', ({ name, header, floats }) => {
  expect(() => readCheckpoint(write(name, header, floats))).toThrow('CHECKPOINT_FORMAT');
});
