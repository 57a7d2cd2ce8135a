/**
 * KV caches by rows: a search keeps several sequences of one prompt in the batch, and moves, drops and revives them.
 * Letters: B rows, K kv heads, T tokens, D head size. Every cache tensor is [B,K,T,D], of any number type.
 */
import { AttuneError } from '../../../errors.ts';
import type { ModelTensor } from './decoding.ts';

/** Name of the next call's input → tensor; `get_seq_length` as transformers.js asks it of its own caches. */
export type Cache = Record<string, ModelTensor>;

const prototype = {
  get_seq_length(this: Cache) {
    return Object.values(this)[0]?.dims.at(-2) ?? 0;
  },
};

export const asCache = (entries: Iterable<readonly [string, ModelTensor]>): Cache =>
  Object.assign(Object.create(prototype) as Cache, Object.fromEntries(entries));

/** Outputs present… as the inputs past… of the next call, by transformers.js's naming. */
export const cacheOf = (outputs: Readonly<Record<string, unknown>>): Cache =>
  asCache(
    Object.entries(outputs)
      .filter(([name]) => name.startsWith('present'))
      .map(([name, tensor]) => [
        name.startsWith('present_')
          ? name.replace('present', 'past')
          : name.replace('present', 'past_key_values'),
        tensor as ModelTensor,
      ]),
  );

type Numbers = Float32Array | Uint16Array;

function make(like: ModelTensor, data: Numbers, dims: readonly number[]): ModelTensor {
  const Tensor = like.constructor as new (type: string, data: Numbers, dims: number[]) => ModelTensor;
  return new Tensor(like.type, data, [...dims]);
}

function empty(like: ModelTensor, length: number): Numbers {
  const Data = (like.data as Numbers).constructor as new (length: number) => Numbers;
  return new Data(length);
}

/** Row i of the result is row `rows[i]` of the cache; the same tensors where nothing moves. */
export function gatherRows(cache: Cache, rows: readonly number[]): Cache {
  const [first] = Object.values(cache);
  if (first && rows.length === first.dims[0] && rows.every((row, i) => row === i)) return cache;
  return asCache(
    Object.entries(cache).map(([name, tensor]) => {
      const [, ...rest] = tensor.dims;
      const size = rest.reduce((product, n) => product * n, 1);
      const from = tensor.data as Numbers;
      const data = empty(tensor, rows.length * size);
      rows.forEach((row, i) => {
        data.set(from.subarray(row * size, (row + 1) * size), i * size);
      });
      return [name, make(tensor, data, [rows.length, ...rest])];
    }),
  );
}

/** What one token of one row left in the cache: for each tensor its keys or values, [K,D]. */
export type TokenSlice = readonly Numbers[];

/** The newest token's part of some rows. @throws AttuneError CACHE_LAYOUT for a cache that is not keys and values alone */
export function newestToken(cache: Cache, rows: readonly number[]): TokenSlice[] {
  return rows.map((row) =>
    Object.entries(cache).map(([name, tensor]) => {
      if (tensor.dims.length !== 4) throw notKeys(name, tensor);
      const [, K, T, D] = tensor.dims as [number, number, number, number];
      const from = tensor.data as Numbers;
      const slice = empty(tensor, K * D);
      for (let k = 0; k < K; k++) {
        const at = ((row * K + k) * T + T - 1) * D;
        slice.set(from.subarray(at, at + D), k * D);
      }
      return slice;
    }),
  );
}

/** The cache of rows that begin with one prompt, [1,K,P,D], and go on with `continuations[row]`, all of one length. */
export function rebuild(prompt: Cache, continuations: readonly (readonly TokenSlice[])[]): Cache {
  const B = continuations.length;
  const R = continuations[0]!.length;
  return asCache(
    Object.entries(prompt).map(([name, tensor], which) => {
      const [, K, P, D] = tensor.dims as [number, number, number, number];
      const from = tensor.data as Numbers;
      const data = empty(tensor, B * K * (P + R) * D);
      continuations.forEach((tokens, row) => {
        for (let k = 0; k < K; k++) {
          const at = (row * K + k) * (P + R) * D;
          data.set(from.subarray(k * P * D, (k + 1) * P * D), at);
          tokens.forEach((slices, r) => {
            data.set(slices[which]!.subarray(k * D, (k + 1) * D), at + (P + r) * D);
          });
        }
      });
      return [name, make(tensor, data, [B, K, P + R, D])];
    }),
  );
}

const notKeys = (name: string, { dims, type }: ModelTensor): AttuneError =>
  new AttuneError('CACHE_LAYOUT', {
    at: name,
    found: `${type} [${dims.join(', ')}]`,
    expected: 'keys or values, [rows, heads, tokens, head size]',
    hint: 'Beams need a cache of keys and values alone; models with recurrent states have none.',
  });
