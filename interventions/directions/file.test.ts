/** Directions through files: ours, repeng's, and what is neither. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { numberToHalf } from '../../onnx/index.ts';
import { steer } from '../index.ts';
import { directionsOf } from './directions.ts';
import { readDirections, writeDirections } from './file.ts';
import { decodeGguf } from './gguf.ts';
import { decodeSafetensors } from './safetensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-directions-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const vectors = [
  [3, [0.5, -2, 1e-3]],
  [1, [1, 0, 0]],
] as const;
const about = { model_type: 'llama', method: 'pca' };

test.each(['a.safetensors', 'a.gguf'])('%s: what is written is read', (name) => {
  writeDirections(at(name), directionsOf('resid_post', vectors, 'test', about));
  const read = readDirections(at(name));
  expect([...read.vectors.keys()]).toEqual([1, 3]);
  expect(read.vectors.get(3)).toEqual(Float32Array.of(0.5, -2, 1e-3));
  expect(read.at).toBe('resid_post');
  expect(read.about.model_type).toBe('llama');
});

test('directions of heads keep their place, and GGUF has none for them', () => {
  const heads = directionsOf('z', vectors, 'test');
  writeDirections(at('z.safetensors'), heads);
  expect(readDirections(at('z.safetensors')).at).toBe('z');
  expect(() => writeDirections(at('z.gguf'), heads)).toThrow(/DIRECTIONS_INVALID.*head outputs/);
});

/** As repeng's export_gguf has gguf's writer lay it out, byte by byte. */
test('a control vector of repeng', () => {
  const parts: Uint8Array[] = [];
  const u32 = (x: number) => parts.push(new Uint8Array(Uint32Array.of(x).buffer));
  const u64 = (x: number) => parts.push(new Uint8Array(BigUint64Array.of(BigInt(x)).buffer));
  const text = (x: string) => {
    u64(x.length);
    parts.push(new TextEncoder().encode(x));
  };
  parts.push(new TextEncoder().encode('GGUF'));
  u32(3);
  u64(1);
  u64(4);
  text('general.architecture');
  u32(8);
  text('controlvector');
  text('controlvector.model_hint');
  u32(8);
  text('mistral');
  text('controlvector.layer_count');
  u32(4);
  u32(1);
  text('some.list');
  u32(9);
  u32(8);
  u64(2);
  text('a');
  text('bc');
  text('direction.15');
  u32(1);
  u64(2);
  u32(0);
  u64(0);
  const head = Buffer.concat(parts);
  const bytes = Buffer.concat([
    head,
    Buffer.alloc(32 - (head.length % 32)),
    new Uint8Array(Float32Array.of(4, -1).buffer),
  ]);
  const read = decodeGguf(bytes, 'v.gguf');
  expect([...read.vectors]).toEqual([[15, Float32Array.of(4, -1)]]);
  expect(read.about).toEqual({ model_type: 'mistral' });
  expect(() => decodeGguf(bytes.subarray(0, 70), 'v.gguf')).toThrow(/DIRECTIONS_INVALID.*no end/);
  expect(() => decodeGguf(Buffer.from('PK\x03\x04\0\0\0\0'), 'v.gguf')).toThrow(
    /DIRECTIONS_INVALID.*no GGUF header/,
  );
});

test('safetensors of half floats, and files that are none', () => {
  const header = JSON.stringify({
    'blocks.2.hook_resid_post': { dtype: 'F16', shape: [2], data_offsets: [0, 4] },
    'blocks.4.hook_resid_post': { dtype: 'BF16', shape: [2], data_offsets: [4, 8] },
  });
  const data = new Uint8Array(Uint16Array.of(numberToHalf(1.5), numberToHalf(-2), 0x3fc0, 0xc000).buffer);
  const made = (text: string) =>
    Buffer.concat([new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer), Buffer.from(text), data]);
  const read = decodeSafetensors(made(header), 'h');
  expect([...read.vectors.values()]).toEqual([Float32Array.of(1.5, -2), Float32Array.of(1.5, -2)]);
  const refused: [string, RegExp][] = [
    [header.replace('F16', 'I64'), /type I64/],
    [header.replace('blocks.2.hook_resid_post', 'model.embed'), /"model\.embed"/],
    [header.replace('[4,8]', '[4,80]'), /76 of 8 bytes/],
    [header.replace('blocks.2.hook_resid_post', 'blocks.2.attn.hook_z'), /two hook points/],
    ['{"a"', /no JSON/],
    ['{}', /no direction/],
  ];
  for (const [text, message] of refused) expect(() => decodeSafetensors(made(text), 'h')).toThrow(message);
  expect(() => decodeSafetensors(Buffer.from('short'), 'h')).toThrow(/no safetensors header/);
});

test('a specification keeps the content of its file', () => {
  writeDirections(at('b.safetensors'), directionsOf('resid_post', vectors, 'test'));
  const made = steer({ directions: at('b.safetensors') });
  const json = made.toJSON() as { directions: { file: string; sha256: string } };
  expect(json.directions.sha256).toMatch(/^[0-9a-f]{64}$/);
  const { intervention: _, ...parameters } = made.toJSON();
  expect(steer(parameters as never).hash).toBe(made.hash);
  writeFileSync(at('c.txt'), 'x');
  expect(() => steer({ directions: at('c.txt') })).toThrow(/DIRECTIONS_INVALID.*\.safetensors or \.gguf/);
  expect(() => readDirections({ file: at('b.safetensors'), sha256: '0'.repeat(64) })).toThrow(
    'DIRECTIONS_CHANGED',
  );
});
