/**
 * Feeds from what a person has at hand: nested arrays by input name. Inputs that follow from the others (attention
 * mask, positions, an empty cache) are filled in, so that a decoder can be run from token ids alone.
 */
import { AttuneError, nearest } from '../../errors.ts';
import { DataType, dataTypeName, type Graph, numberToHalf, type ValueInfo } from '../../onnx/index.ts';
import type { OrtTensor, Runtime } from './runtime.ts';

/** Numbers in nested arrays, as JSON has them: [[1, 2], [3, 4]] is [2, 2]. */
export type Nested = number | boolean | readonly Nested[];

type Storage =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Uint8Array
  | Int8Array
  | Uint16Array;

const STORAGE: Record<number, (values: readonly number[]) => Storage> = {
  [DataType.FLOAT]: (values) => Float32Array.from(values),
  [DataType.DOUBLE]: (values) => Float64Array.from(values),
  [DataType.INT64]: (values) => BigInt64Array.from(values, (value) => BigInt(Math.trunc(value))),
  [DataType.INT32]: (values) => Int32Array.from(values),
  [DataType.UINT8]: (values) => Uint8Array.from(values),
  [DataType.INT8]: (values) => Int8Array.from(values),
  [DataType.BOOL]: (values) => Uint8Array.from(values, (value) => (value ? 1 : 0)),
  [DataType.FLOAT16]: (values) => Uint16Array.from(values, numberToHalf),
};

/**
 * Tensors for all inputs of a graph from a few of them: masks, positions and empty caches are filled in.
 *
 * @example const feeds = completeFeeds(file.model.graph, { input_ids: [[1, 5, 7]] }, runtime);
 *
 * @param given nested arrays by input name
 * @throws AttuneError INPUT_UNKNOWN, INPUT_MISSING, INPUT_RAGGED, INPUT_TYPE
 */
export function completeFeeds(
  graph: Graph,
  given: Readonly<Record<string, Nested>>,
  runtime: Runtime,
): Record<string, OrtTensor> {
  const weights = new Set(graph.initializers.map(({ name }) => name));
  const inputs = graph.inputs.filter(({ name }) => !weights.has(name));
  for (const name of Object.keys(given)) {
    if (inputs.some((input) => input.name === name)) continue;
    const names = inputs.map((input) => input.name);
    throw new AttuneError('INPUT_UNKNOWN', {
      found: `input "${name}"`,
      expected: `one of ${names.slice(0, 6).join(', ')}${names.length > 6 ? ', …' : ''}`,
      hint: `Nearest: ${nearest(name, names, 1)[0] ?? 'none'}.`,
    });
  }
  const feeds: Record<string, OrtTensor> = {};
  for (const input of inputs) {
    const nested = given[input.name];
    if (nested !== undefined) feeds[input.name] = tensorOf(input, nested, runtime);
  }
  const lead = feeds.input_ids ?? feeds.inputs_embeds ?? feeds.decoder_input_ids ?? Object.values(feeds)[0];
  if (!lead) {
    throw new AttuneError('INPUT_MISSING', {
      found: 'no inputs',
      expected: inputs.map(({ name }) => name).join(', '),
      hint: 'Give input_ids, or what the model reads in their place; masks, positions and an empty cache are filled in.',
    });
  }
  const [batch = 1, length = 1] = lead.dims;
  for (const input of inputs) {
    feeds[input.name] ??= implied(input, batch, length, feeds.attention_mask, runtime);
  }
  return feeds;
}

/** An input that can be derived from the batch, the length and the mask of the run. */
function implied(
  input: ValueInfo,
  batch: number,
  length: number,
  attentionMask: OrtTensor | undefined,
  runtime: Runtime,
): OrtTensor {
  const make = (dims: readonly number[], values: readonly number[]) => {
    const storage = STORAGE[input.elemType ?? 0];
    if (!storage) throw badType(input);
    return new runtime.Tensor(ortTypeName(input), storage(values), dims);
  };
  const size = batch * length;
  switch (input.name) {
    case 'attention_mask':
    case 'encoder_attention_mask':
      return make([batch, length], new Array<number>(size).fill(1));
    case 'token_type_ids':
      return make([batch, length], new Array<number>(size).fill(0));
    case 'position_ids':
      return make([batch, length], positions(batch, length, attentionMask));
    case 'use_cache_branch':
      return make([1], [0]);
    case 'num_logits_to_keep':
      return make([], [0]);
  }
  if (/^past/.test(input.name) && input.shape) {
    const dims = input.shape.map((dim, axis) => {
      if (typeof dim === 'number' && dim >= 0) return dim;
      return axis === 0 ? batch : 0;
    });
    // A cache of a fixed length is not empty, and what it holds does not follow from the other inputs.
    if (dims.includes(0)) return make(dims, []);
  }
  throw new AttuneError('INPUT_MISSING', {
    found: `no value for input "${input.name}"`,
    expected: `${input.elemType ? dataTypeName(input.elemType) : 'a tensor'} [${input.shape?.join(', ') ?? '?'}]`,
    hint: `Give it as { "${input.name}": [...] }.`,
  });
}

/** Positions count real tokens; padding gets 1, as transformers does. */
function positions(batch: number, length: number, attentionMask: OrtTensor | undefined): number[] {
  const mask = attentionMask?.data as BigInt64Array | undefined;
  const result: number[] = [];
  for (let b = 0; b < batch; b++) {
    let position = 0;
    for (let s = 0; s < length; s++) {
      const real = mask === undefined || mask[b * length + s] !== 0n;
      result.push(real ? position++ : 1);
    }
  }
  return result;
}

export function tensorOf(input: ValueInfo, nested: Nested, runtime: Runtime): OrtTensor {
  const dims: number[] = [];
  for (let level: Nested | undefined = nested; Array.isArray(level); level = level[0])
    dims.push(level.length);
  const values: number[] = [];
  const visit = (value: Nested, depth: number) => {
    if (!Array.isArray(value)) {
      if (depth !== dims.length) throw ragged(input.name);
      values.push(Number(value));
      return;
    }
    if (value.length !== dims[depth]) throw ragged(input.name);
    for (const inner of value) visit(inner, depth + 1);
  };
  visit(nested, 0);
  const storage = STORAGE[input.elemType ?? 0];
  if (!storage) throw badType(input);
  return new runtime.Tensor(ortTypeName(input), storage(values), dims);
}

function ortTypeName({ elemType = 0 }: ValueInfo): string {
  const name = dataTypeName(elemType);
  return name === 'float' ? 'float32' : name === 'double' ? 'float64' : name;
}

function ragged(name: string): AttuneError {
  return new AttuneError('INPUT_RAGGED', {
    at: `input ${name}`,
    found: 'rows of different length',
    expected: 'a rectangle',
  });
}

function badType(input: ValueInfo): AttuneError {
  return new AttuneError('INPUT_TYPE', {
    at: `input ${input.name}`,
    found: dataTypeName(input.elemType ?? 0),
    expected: 'float, float16, double, int64, int32, int8, uint8 or bool',
  });
}
