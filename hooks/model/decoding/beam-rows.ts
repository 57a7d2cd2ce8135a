/**
 * The sequences of a search as rows of a batch. CPU GroupQueryAttention takes a cache together with several rows for one new
 * token at a time only, which is all that beams need.
 * Letters: P prompt, B rows, V vocabulary.
 */
import type { BeamRequest } from './beam-options.ts';
import { type Cache, cacheOf, gatherRows } from './cache.ts';
import type { ModelInputs, ModelTensor, SearchModel } from './decoding.ts';

export interface RowResult {
  /** Next-token logits, [V] for each row. */
  readonly logits: readonly Float32Array[];
  readonly cache: Cache;
}

export class BeamRows {
  readonly #model: SearchModel;
  readonly #request: BeamRequest;

  constructor(model: SearchModel, request: BeamRequest) {
    this.#model = model;
    this.#request = request;
  }

  /** Logits of the first response token and the prompt's cache, one row. */
  prompt(): Promise<RowResult> {
    return this.#run({ ...this.#request.prompt });
  }

  /**
   * One more token for each row.
   * @param parents row of the cache that each row goes on from
   * @param length tokens in the cache
   */
  async next(
    cache: Cache,
    parents: readonly number[],
    tokens: readonly number[],
    length: number,
  ): Promise<RowResult> {
    const { attention_mask, input_ids } = this.#request.prompt as Record<string, ModelTensor>;
    const B = tokens.length;
    const T = length + 1;
    const mask = new BigInt64Array(B * T).fill(1n);
    if (attention_mask) {
      for (let b = 0; b < B; b++) mask.set(attention_mask.data as BigInt64Array, b * T);
    }
    return this.#run({
      input_ids: like(input_ids!, BigInt64Array.from(tokens, BigInt), [B, 1]),
      attention_mask: like(input_ids!, mask, [B, T]),
      past_key_values: gatherRows(cache, parents),
    });
  }

  async #run(inputs: ModelInputs): Promise<RowResult> {
    const ids = (inputs.input_ids as ModelTensor & { tolist(): bigint[][] }).tolist();
    const prepared = this.#model.prepare_inputs_for_generation?.(ids, { ...inputs }, {}) ?? inputs;
    const outputs = await this.#model(prepared);
    const logits = (outputs.logits as ModelTensor).to('float32');
    const [B, S, V] = logits.dims as [number, number, number];
    const data = logits.data as Float32Array;
    return {
      logits: Array.from({ length: B }, (_, b) => data.subarray((b * S + S - 1) * V, (b * S + S) * V)),
      cache: cacheOf(outputs),
    };
  }
}

/** Prompt and response as `generate` returns them: int64 [1,P+R]. */
export function sequencesOf(request: BeamRequest, response: readonly number[]): unknown {
  const ids = [...request.promptIds, ...response];
  const sequences = like(request.prompt.input_ids, BigInt64Array.from(ids, BigInt), [1, ids.length]);
  return request.asDictionary ? { sequences } : sequences;
}

function like(tensor: ModelTensor, data: BigInt64Array, dims: readonly number[]): ModelTensor {
  const Tensor = tensor.constructor as new (
    type: string,
    data: BigInt64Array,
    dims: readonly number[],
  ) => ModelTensor;
  return new Tensor('int64', data, dims);
}
