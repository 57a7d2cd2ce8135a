/**
 * Directions as safetensors: one float32 tensor for each layer, named as the hook point it is a direction at
 * (`blocks.3.hook_resid_post` [M], `blocks.3.attn.hook_z` [H·D]), and strings about them as metadata.
 * Format: 8 bytes of header length, a JSON header, the data (huggingface/safetensors, README).
 */
import { halfToNumber } from '../../onnx/index.ts';
import { type DirectionPlace, type Directions, directionsOf, invalid } from './directions.ts';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const NAME = /(?:^|\.)blocks\.(\d+)\.(?:attn\.)?hook_(resid_post|z)$/;

const nameOf = (at: DirectionPlace, layer: number) =>
  at === 'z' ? `blocks.${layer}.attn.hook_z` : `blocks.${layer}.hook_resid_post`;

export function encodeSafetensors({ at, vectors, about }: Directions): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'attune.directions', ...about } };
  let offset = 0;
  for (const [layer, { length }] of vectors) {
    header[nameOf(at, layer)] = {
      dtype: 'F32',
      shape: [length],
      data_offsets: [offset, offset + 4 * length],
    };
    offset += 4 * length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Data begins at a multiple of 8, as the format's own writer has it.
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + offset).fill(0x20, 8, 8 + padded);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, 8);
  let to = 8 + padded;
  for (const vector of vectors.values()) {
    bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), to);
    to += vector.byteLength;
  }
  return bytes;
}

/** @throws AttuneError DIRECTIONS_INVALID */
export function decodeSafetensors(bytes: Uint8Array, from: string): Directions {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 8 ? -1 : Number(view.getBigUint64(0, true));
  if (length < 2 || 8 + length > bytes.length)
    throw invalid(from, 'no safetensors header', 'a safetensors file');
  const { __metadata__: about = {}, ...entries } = headerOf(bytes.subarray(8, 8 + length), from);
  const places = new Set<DirectionPlace>();
  const vectors: [number, Float32Array][] = [];
  for (const [name, entry] of Object.entries(entries as Record<string, Entry>)) {
    const [, layer, at] = NAME.exec(name) ?? [];
    if (layer === undefined) {
      throw invalid(from, `a tensor "${name}"`, 'names as blocks.3.hook_resid_post or blocks.3.attn.hook_z');
    }
    places.add(at as DirectionPlace);
    vectors.push([Number(layer), floatsOf(entry, bytes.subarray(8 + length), `${from}, ${name}`)]);
  }
  if (places.size > 1) throw invalid(from, 'directions at two hook points', 'one file for each');
  return directionsOf([...places][0] ?? 'resid_post', vectors, from, about as Record<string, string>);
}

function headerOf(bytes: Uint8Array, from: string): Record<string, unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  } catch (cause) {
    throw invalid(from, `a header that is no JSON (${(cause as Error).message})`, 'a safetensors file');
  }
}

function floatsOf({ dtype, shape, data_offsets }: Entry, data: Uint8Array, at: string): Float32Array {
  const [start, end] = data_offsets;
  const size = { F32: 4, F16: 2, BF16: 2 }[dtype];
  const count = shape.reduce((product, n) => product * n, 1);
  if (size === undefined) throw invalid(at, `numbers of type ${dtype}`, 'F32, F16 or BF16');
  if (end > data.length || end - start !== size * count) {
    throw invalid(at, `${end - start} of ${data.length} bytes`, `${size * count}`);
  }
  const view = new DataView(data.buffer, data.byteOffset + start, end - start);
  return Float32Array.from({ length: count }, (_, i) => {
    if (dtype === 'F32') return view.getFloat32(4 * i, true);
    const bits = view.getUint16(2 * i, true);
    return dtype === 'F16' ? halfToNumber(bits) : fromBfloat16(bits);
  });
}

/** The upper half of a float32. */
function fromBfloat16(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits << 16);
  return view.getFloat32(0);
}
