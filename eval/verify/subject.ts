/** The model under verification, used as anyone would: from_pretrained, use, generate, runWithCache. */
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  type PreTrainedTokenizer,
  Tensor,
} from '@huggingface/transformers';
import { AttuneError } from '../../errors.ts';
import {
  type AttunedModel,
  from_pretrained,
  type Intervention,
  type InterventionKind,
  type TransformersModel,
} from '../../hooks/model/index.ts';
import { loadRuntime } from '../../hooks/session/index.ts';
import type { Golden } from './golden.ts';

type Model = TransformersModel &
  AttunedModel &
  ((inputs: object) => Promise<{ logits: Tensor }>) & { generate(options: object): Promise<Tensor> };

export interface Batch {
  readonly input_ids: Tensor;
  readonly attention_mask: Tensor;
}

/** [B, S, V] */
export interface Logits {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export class Subject implements AsyncDisposable {
  readonly golden: Golden;
  readonly folder: string;
  readonly tokenizer: PreTrainedTokenizer;
  readonly model: Model;

  private constructor(golden: Golden, folder: string, tokenizer: PreTrainedTokenizer, model: Model) {
    this.golden = golden;
    this.folder = folder;
    this.tokenizer = tokenizer;
    this.model = model;
  }

  /** @param prepare kinds to compile in, so that going from family to family builds nothing */
  static async load(
    golden: Golden,
    folder: string,
    ep: string,
    prepare: readonly InterventionKind[],
  ): Promise<Subject> {
    const tokenizer = await AutoTokenizer.from_pretrained(folder, { local_files_only: true });
    const runtime = ep === 'wasm' ? { runtime: await loadRuntime('web') } : {};
    const options = { dtype: 'fp32' as const, local_files_only: true, prepare, ...runtime };
    const model = await from_pretrained(AutoModelForCausalLM as never, folder, options);
    return new Subject(golden, folder, tokenizer, model as Model);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.model.dispose();
  }

  /** @throws AttuneError GOLDEN_MALFORMED */
  prompt(name: string): readonly number[] {
    const prompt = this.golden.prompts[name];
    if (prompt) return prompt.ids;
    throw new AttuneError('GOLDEN_MALFORMED', {
      at: 'prompts',
      found: `a case about "${name}"`,
      expected: Object.keys(this.golden.prompts).join(', '),
    });
  }

  /**
   * How far float32 may be from the float64 value of a quantity, as the file says.
   * @throws AttuneError GOLDEN_MALFORMED
   */
  tolerance(quantity: string): number {
    const stated = this.golden.header.tolerance.float32[quantity];
    if (stated) return stated.suggested;
    throw new AttuneError('GOLDEN_MALFORMED', {
      at: 'header.tolerance.float32',
      found: `nothing about ${quantity}`,
    });
  }

  async logits(batch: Batch): Promise<Logits> {
    const { logits } = await this.model(batch);
    return { dims: logits.dims, data: logits.data as Float32Array };
  }

  /** `count` new tokens of every row. Nothing stops the run. */
  async greedy(batch: Batch, count: number): Promise<number[][]> {
    const output = await this.model.generate({
      ...batch,
      max_new_tokens: count,
      do_sample: false,
      eos_token_id: null,
    });
    const length = batch.input_ids.dims[1]!;
    return (output.tolist() as bigint[][]).map((row) => row.slice(length).map(Number));
  }

  under<T>(interventions: readonly Intervention[], work: () => Promise<T>): Promise<T> {
    return this.model.using(interventions, work);
  }
}

/** Rows of one length; without a mask all tokens are real. */
export function batchOf(
  rows: readonly (readonly number[])[],
  mask: readonly (readonly number[])[] = rows.map((row) => row.map(() => 1)),
): Batch {
  const int64 = (values: readonly (readonly number[])[]) =>
    new Tensor('int64', BigInt64Array.from(values.flat(), BigInt), [values.length, values[0]!.length]);
  return { input_ids: int64(rows), attention_mask: int64(mask) };
}
