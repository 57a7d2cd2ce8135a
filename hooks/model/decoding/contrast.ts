/**
 * The second stream of a contrast, call by call. It belongs to the first stream's cache: it is kept beside the very tensors a
 * call returned and found again when these come back as the past of another, as states are (session/states.ts). So generation,
 * scoring over a shared prompt and loops of one's own all work, and calls may branch.
 */
import { AttuneError } from '../../../errors.ts';
import type { Intervention } from '../intervention.ts';
import { cacheOf } from './cache.ts';
import type { Contrast, ContrastContext, ModelInputs, ModelTensor } from './decoding.ts';

type Outputs = Record<string, unknown>;
export type Forward = (inputs: ModelInputs) => Promise<Outputs>;

interface Stream {
  /** Hash of the contrast it was made under. */
  readonly settings: string;
  /** The second stream's cache and attention mask; undefined where the prompt had nothing to contrast. */
  readonly own: { readonly past: object; readonly mask: ModelTensor } | undefined;
}

/** One call of a model under a contrast. */
export interface ContrastCall {
  readonly intervention: Intervention;
  readonly contrast: Contrast;
  readonly inputs: ModelInputs;
  /** Only the last position's scores are made: the others are not asked for. */
  readonly lastOnly: boolean;
  readonly first: Forward;
  /** The same model as the second stream sees it. */
  readonly second: Forward;
}

export class ContrastStreams {
  readonly #byCache = new WeakMap<object, Stream>();
  readonly #imageToken: number | undefined;

  constructor(imageToken: number | undefined) {
    this.#imageToken = imageToken;
  }

  /**
   * One call of both streams.
   * @throws AttuneError STATE_MISMATCH for a cache that was not made under this contrast
   */
  async run({ intervention, contrast, inputs, lastOnly, ...forward }: ContrastCall): Promise<Outputs> {
    const before = this.#streamOf(inputs, intervention);
    // The first call may change a cache in place; what the second one needs is taken before.
    const { Tensor, context } = this.#library(inputs);
    const next = before ? continued(before, inputs, context) : contrast.second(inputs, context);
    const outputs = await forward.first(inputs);
    if (next === undefined) {
      this.#keep(outputs, { settings: intervention.hash, own: undefined });
      return outputs;
    }
    const second = await forward.second(next);
    const logits = combined(outputs.logits as ModelTensor, second.logits as ModelTensor, contrast, lastOnly);
    this.#keep(outputs, {
      settings: intervention.hash,
      own: { past: cacheOf(second), mask: next.attention_mask as ModelTensor },
    });
    return { ...outputs, logits: new Tensor('float32', logits.data, logits.dims) };
  }

  #streamOf(
    { past_key_values: past }: ModelInputs,
    { intervention, hash }: Intervention,
  ): Stream | undefined {
    const [tensor] = Object.values((past ?? {}) as Record<string, object>);
    if (tensor === undefined) return undefined;
    const stream = this.#byCache.get(tensor);
    if (stream?.settings === hash) return stream;
    throw new AttuneError('STATE_MISMATCH', {
      found: stream ? `a cache made under another setting of ${intervention}` : 'a cache of unknown origin',
      expected: `one that this model returned under ${intervention} ${hash.slice(0, 8)}`,
      hint: 'Start the sequence again, without past_key_values: the second stream covers it from its first token.',
    });
  }

  #keep(outputs: Record<string, unknown>, stream: Stream): void {
    for (const [name, tensor] of Object.entries(outputs)) {
      if (name.startsWith('present')) this.#byCache.set(tensor as object, stream);
    }
  }

  #library(inputs: ModelInputs) {
    const Tensor = (inputs.input_ids as ModelTensor).constructor as new (
      type: string,
      data: unknown,
      dims: readonly number[],
    ) => ModelTensor;
    const context: ContrastContext = {
      tensor: (type, data, dims) => new Tensor(type, data, [...dims]),
      imageToken: this.#imageToken,
    };
    return { Tensor, context };
  }
}

/** The same new tokens over the second stream's cache; its mask grows by the first's newest columns. */
function continued(
  { own }: Stream,
  inputs: ModelInputs,
  { tensor }: ContrastContext,
): ModelInputs | undefined {
  if (own === undefined) return undefined;
  const { input_ids, attention_mask } = inputs as { input_ids: ModelTensor; attention_mask?: ModelTensor };
  const [B, S] = input_ids.dims as [number, number];
  const P = own.mask.dims[1]!;
  const T = attention_mask?.dims[1] ?? 0;
  const mask = new BigInt64Array(B * (P + S)).fill(1n);
  for (let b = 0; b < B; b++) {
    mask.set((own.mask.data as BigInt64Array).subarray(b * P, (b + 1) * P), b * (P + S));
    if (!attention_mask) continue;
    const newest = (attention_mask.data as BigInt64Array).subarray((b + 1) * T - S, (b + 1) * T);
    mask.set(newest, b * (P + S) + P);
  }
  const { num_logits_to_keep } = inputs;
  return {
    input_ids,
    attention_mask: tensor('int64', mask, [B, P + S]),
    past_key_values: own.past,
    ...(num_logits_to_keep ? { num_logits_to_keep } : {}),
  };
}

/** [B,S,V] scores; positions of the two streams are matched from the end. */
function combined(
  first: ModelTensor,
  second: ModelTensor,
  { combine }: Contrast,
  lastOnly: boolean,
): { data: Float32Array; dims: number[] } {
  const [B, S, V] = first.dims as [number, number, number];
  const [, S2] = second.dims as [number, number, number];
  const data = Float32Array.from(first.to('float32').data as Float32Array);
  const other = second.to('float32').data as Float32Array;
  const rows = lastOnly ? 1 : Math.min(S, S2);
  for (let b = 0; b < B; b++) {
    for (let back = 1; back <= rows; back++) {
      const at = (b * S + S - back) * V;
      const from = (b * S2 + S2 - back) * V;
      combine(data.subarray(at, at + V), other.subarray(from, from + V));
    }
  }
  return { data, dims: [B, S, V] };
}
