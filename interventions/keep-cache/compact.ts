/** Caches with some of their keys: tensors [B, K, N, D] copied slot by slot, keys turned where their positions change. */
import { AttuneError } from '../../errors.ts';
import type { OrtTensor } from '../../hooks/session/index.ts';
import { halfToNumber, numberToHalf } from '../../onnx/index.ts';
import type { Turns } from './turns.ts';

type Numbers = Float32Array | Uint16Array;

/** In memory: what lies on a GPU, or with the native runtime, is downloaded. */
export async function dataOf(tensor: OrtTensor): Promise<Numbers> {
  const here = (tensor.location ?? 'cpu') === 'cpu' || tensor.getData === undefined;
  const data = (here ? tensor.data : await tensor.getData!()) as Numbers;
  if (tensor.type === 'float32' || tensor.type === 'float16') return data;
  throw new AttuneError('CACHE_LAYOUT', {
    at: 'keep-cache',
    found: `a cache of ${tensor.type}`,
    expected: 'float32 or float16',
  });
}

/** The same as float32. */
export async function floatsOf(tensor: OrtTensor): Promise<Float32Array> {
  const data = await dataOf(tensor);
  if (tensor.type === 'float32') return data as Float32Array;
  return Float32Array.from(new Uint16Array(data.buffer, data.byteOffset, data.length), halfToNumber);
}

export interface Compaction {
  /** Slots that stay, by row and kv head. */
  slots(row: number, head: number): Int32Array;
  /** Positions that the key of a slot is turned by; undefined where none is. */
  turn?: { readonly by: Turns; positions(row: number, head: number): Int32Array } | undefined;
}

export async function compacted(tensor: OrtTensor, { slots, turn }: Compaction): Promise<OrtTensor> {
  const [B, K, N, D] = tensor.dims as [number, number, number, number];
  const from = await dataOf(tensor);
  const kept = slots(0, 0).length;
  const Data = from.constructor as new (length: number) => Numbers;
  const data = new Data(B * K * kept * D);
  for (let b = 0; b < B; b++) {
    for (let k = 0; k < K; k++) {
      const [source, target] = [(b * K + k) * N, (b * K + k) * kept];
      gather(from, source, slots(b, k), D, data, target);
      if (turn) turned(data, target, D, turn.by, turn.positions(b, k), tensor.type);
    }
  }
  return tensorLike(tensor, data, [B, K, kept, D]);
}

/** A copy in which some keys are those of `part`: those of its slots come where `slots` says. */
export async function scattered(
  tensor: OrtTensor,
  part: OrtTensor,
  slots: Compaction['slots'],
): Promise<OrtTensor> {
  const [B, K, N, D] = tensor.dims as [number, number, number, number];
  const data = (await dataOf(tensor)).slice();
  const from = await dataOf(part);
  for (let b = 0; b < B; b++) {
    for (let k = 0; k < K; k++) {
      const at = slots(b, k);
      at.forEach((slot, i) => {
        const begin = ((b * K + k) * at.length + i) * D;
        data.set(from.subarray(begin, begin + D), ((b * K + k) * N + slot) * D);
      });
    }
  }
  return tensorLike(tensor, data, tensor.dims);
}

function tensorLike(tensor: OrtTensor, data: Numbers, dims: readonly number[]): OrtTensor {
  const Tensor = tensor.constructor as new (
    type: string,
    data: Numbers,
    dims: readonly number[],
  ) => OrtTensor;
  return new Tensor(tensor.type, data, dims);
}

/** Runs of neighbours are copied at once. */
function gather(
  from: Numbers,
  source: number,
  slots: Int32Array,
  D: number,
  data: Numbers,
  target: number,
): void {
  for (let i = 0; i < slots.length; ) {
    let end = i + 1;
    while (end < slots.length && slots[end] === slots[end - 1]! + 1) end++;
    const begin = (source + slots[i]!) * D;
    data.set(from.subarray(begin, begin + (end - i) * D), (target + i) * D);
    i = end;
  }
}

function turned(
  data: Numbers,
  target: number,
  D: number,
  by: Turns,
  positions: Int32Array,
  type: string,
): void {
  if (type === 'float32') {
    const keys = data as Float32Array;
    for (let i = 0; i < positions.length; i++) by.turn(keys, (target + i) * D, positions[i]!);
    return;
  }
  const halves = new Uint16Array(data.buffer, data.byteOffset, data.length);
  const key = new Float32Array(D);
  for (let i = 0; i < positions.length; i++) {
    if (positions[i] === 0) continue;
    const at = (target + i) * D;
    for (let d = 0; d < D; d++) key[d] = halfToNumber(halves[at + d]!);
    by.turn(key, 0, positions[i]!);
    for (let d = 0; d < D; d++) halves[at + d] = numberToHalf(key[d]!);
  }
}
