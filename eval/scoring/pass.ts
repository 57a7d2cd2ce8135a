/**
 * One call of a transformers.js decoder: tokens and a cache in, float32 logits and the cache for the next call out.
 * Letters: S new tokens, T = past + S, V vocabulary. The batch is always 1.
 */
import { DynamicCache, Tensor } from '@huggingface/transformers';
import { AttuneError } from '../../errors.ts';
import { type Cost, type EncodedPicture, noCost } from './language-model.ts';

/** The part of a transformers.js causal model that is used here. */
export interface CausalModel {
  (inputs: Record<string, unknown>): Promise<Record<string, unknown>>;
  readonly config: object;
  readonly generation_config?: object | null;
  readonly sessions?: Record<string, { readonly inputNames: readonly string[] }>;
}

export interface PassResult {
  /** [S − logitsFrom, V] float32. */
  logits: Float32Array;
  S: number;
  V: number;
  /** First position of the pass that has logits; later than 0 where the export can leave out the others. */
  logitsFrom: number;
  past: InstanceType<typeof DynamicCache>;
}

/** Runs the model and counts what it cost. */
export class Pass {
  readonly cost: Cost = { ...noCost };
  readonly model: CausalModel;

  constructor(model: CausalModel) {
    this.model = model;
  }

  /** @param ids [S] */
  async run(
    ids: readonly number[],
    {
      past,
      pastLength = 0,
      logitsFrom = 0,
      picture,
    }: {
      past?: PassResult['past'];
      pastLength?: number;
      logitsFrom?: number;
      picture?: EncodedPicture | undefined;
    } = {},
  ): Promise<PassResult> {
    const S = ids.length;
    const T = pastLength + S;
    const inputs: Record<string, unknown> = {
      input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, S]),
      attention_mask: new Tensor('int64', new BigInt64Array(T).fill(1n), [1, T]),
      ...(past && { past_key_values: past }),
      ...picture?.inputs,
    };
    const decoder = this.model.sessions?.decoder_model_merged ?? this.model.sessions?.model;
    if (logitsFrom > 0 && decoder?.inputNames.includes('num_logits_to_keep')) {
      inputs.num_logits_to_keep = new Tensor('int64', [BigInt(S - logitsFrom)], []);
    }
    const begin = performance.now();
    const outputs = await this.model(inputs);
    this.cost.ms += performance.now() - begin;
    this.cost.tokens += S;
    this.cost.calls += 1;

    const { logits } = outputs;
    if (!(logits instanceof Tensor) || logits.dims.length !== 3) {
      throw new AttuneError('MODEL_OUTPUT', {
        found: `the outputs ${Object.keys(outputs).join(', ')}`,
        expected: '"logits" of shape [batch, sequence, vocabulary]',
        hint: 'Scoring needs a causal language model',
      });
    }
    const [, kept, V] = logits.dims as [number, number, number];
    return {
      logits: logits.to('float32').data as Float32Array,
      S,
      V,
      logitsFrom: S - kept,
      past: nextPast(outputs),
    };
  }
}

const tensorsOf = (cache: object): [string, Tensor][] =>
  Object.entries(cache).filter((entry): entry is [string, Tensor] => entry[1] instanceof Tensor);

/** Outputs present… as the inputs past… of the next call, by transformers.js's naming. */
function nextPast(outputs: Record<string, unknown>): PassResult['past'] {
  const entries = tensorsOf(outputs)
    .filter(([name]) => name.startsWith('present'))
    .map(([name, tensor]) => [
      name.startsWith('present_')
        ? name.replace('present', 'past')
        : name.replace('present', 'past_key_values'),
      tensor,
    ]);
  return new DynamicCache(Object.fromEntries(entries) as Record<string, Tensor>);
}
