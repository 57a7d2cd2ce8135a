/**
 * A decoder that goes on from a cache of any length, token by token, as transformers.js drives it: the model's own forward, the
 * caches of each call in a DynamicCache that disposes of the ones before. The first cache is made of random numbers: attention
 * costs the same whatever it attends to, and a prompt of 4,000 tokens need not be run.
 */
import { AutoModelForCausalLM, DynamicCache, type PreTrainedModel, Tensor } from '@huggingface/transformers';
import type { LoweringName } from '../../hooks/compile/index.ts';
import { from_pretrained, type Intervention } from '../../hooks/model/index.ts';
import type { RuntimeName } from '../../hooks/session/index.ts';
import { QWEN_05B, qwenInt4Folder } from '../models/qwen-int4.ts';
import { sessionOptions } from '../overhead/models.ts';
import type { Clock } from '../paired.ts';

type Outputs = Record<string, Tensor>;
type Forward = (inputs: object) => Promise<Outputs>;

export class Decoder {
  readonly #model: PreTrainedModel;
  #cache = new DynamicCache();
  #length = 0;

  private constructor(model: PreTrainedModel) {
    this.#model = model;
  }

  /** transformers.js and nothing else. */
  static async plain(clock: Clock): Promise<Decoder> {
    const options = { dtype: 'q4', session_options: sessionOptions(clock) } as const;
    return new Decoder(await AutoModelForCausalLM.from_pretrained(await qwenInt4Folder(), options));
  }

  /** With attune behind its session. */
  static async attuned(
    clock: Clock,
    runtime: RuntimeName,
    interventions: readonly Intervention[],
    lowering?: LoweringName,
  ): Promise<Decoder> {
    return new Decoder(
      await from_pretrained(AutoModelForCausalLM, await qwenInt4Folder(), {
        dtype: 'q4',
        runtime,
        session_options: sessionOptions(clock) as Record<string, unknown>,
        interventions,
        ...(lowering && { kernels: { lowering } }),
      }),
    );
  }

  /** Start anew behind `length` tokens that nobody wrote. */
  async fill(length: number): Promise<void> {
    await this.#drop();
    const { numLayers, numKeyValueHeads: K, headDim: D } = QWEN_05B;
    const dims = [1, K, length, D];
    const entries = Array.from({ length: numLayers }, (_, layer) =>
      ['key', 'value'].map((kind, part) => {
        const data = Float32Array.from({ length: K * length * D }, (_, i) =>
          Math.sin(i * 0.7 + layer + part),
        );
        return [`past_key_values.${layer}.${kind}`, new Tensor('float32', data, dims)] as const;
      }),
    );
    this.#cache = new DynamicCache(Object.fromEntries(entries.flat()));
    this.#length = length;
  }

  /** One token more. @returns its logits, [V] */
  async token(id: number): Promise<Float32Array> {
    this.#length++;
    const outputs = await (this.#model as unknown as Forward)({
      input_ids: new Tensor('int64', BigInt64Array.of(BigInt(id)), [1, 1]),
      attention_mask: new Tensor('int64', new BigInt64Array(this.#length).fill(1n), [1, this.#length]),
      past_key_values: this.#cache,
    });
    const present = Object.entries(outputs).filter(([name]) => name.startsWith('present'));
    const cache = this.#cache as unknown as { update(entries: object): void };
    cache.update(
      Object.fromEntries(present.map(([name, it]) => [name.replace('present', 'past_key_values'), it])),
    );
    return outputs.logits!.data as Float32Array;
  }

  async #drop(): Promise<void> {
    await (this.#cache as unknown as { dispose(): Promise<void> }).dispose();
  }

  async dispose(): Promise<void> {
    await this.#drop();
    await this.#model.dispose();
  }
}
