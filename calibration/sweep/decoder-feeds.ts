/** What a decoder is fed for tokens that all rows share and that are all real. Letters: R rows, S new tokens, T = past + S. */
import { AttuneError } from '../../errors.ts';
import type { Feeds, HookedSession, OrtTensor, Runtime } from '../../hooks/session/index.ts';
import { DataType, type ValueInfo } from '../../onnx/index.ts';

export interface Tokens {
  /** [S] */
  readonly ids: readonly number[];
  readonly pastLength: number;
  /** R */
  readonly rows: number;
}

/**
 * @param target a session with the declared inputs of its graph; what attune feeds itself is left out
 * @param given inputs whose tensors are there already
 * @throws AttuneError INPUT_MISSING
 */
export function decoderFeeds(
  { Tensor }: Runtime,
  { session, inputs }: { readonly session: HookedSession; readonly inputs: readonly ValueInfo[] },
  { ids, pastLength, rows }: Tokens,
  given: Feeds = {},
): Record<string, OrtTensor> {
  const integers = ({ elemType }: ValueInfo, dims: number[], values: readonly number[]): OrtTensor =>
    elemType === DataType.INT32
      ? new Tensor('int32', Int32Array.from(values), dims)
      : new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  const alike = (input: ValueInfo, row: readonly number[]) =>
    integers(input, [rows, row.length], new Array<readonly number[]>(rows).fill(row).flat());
  /** [R, K, 0, D] */
  const emptyPast = ({ shape = [], elemType }: ValueInfo): OrtTensor => {
    const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? rows : 0));
    return elemType === DataType.FLOAT16
      ? new Tensor('float16', new Uint16Array(0), dims)
      : new Tensor('float32', new Float32Array(0), dims);
  };
  const make = (input: ValueInfo): OrtTensor => {
    switch (input.name) {
      case 'input_ids':
        return alike(input, ids);
      case 'attention_mask':
        return alike(input, new Array<number>(pastLength + ids.length).fill(1));
      case 'position_ids':
        return alike(
          input,
          ids.map((_, s) => pastLength + s),
        );
      case 'num_logits_to_keep':
        return integers(input, [], [0]);
      case 'use_cache_branch':
        return new Tensor('bool', Uint8Array.of(pastLength > 0 ? 1 : 0), [1]);
    }
    if (input.name.startsWith('past')) return emptyPast(input);
    throw new AttuneError('INPUT_MISSING', {
      found: `no value for input "${input.name}"`,
      expected: 'a decoder that runs from token ids alone',
    });
  };
  const wanted = inputs.filter(({ name }) => session.inputNames.includes(name));
  return Object.fromEntries(wanted.map((input) => [input.name, given[input.name] ?? make(input)]));
}
