/**
 * Decoding behind a long context: a cache of all keys against a bounded one, on models of the shapes of Qwen2.5-0.5B and SmolLM2-135M in
 * 4 bits. Keys are random: what a step costs does not depend on what they say. A bounded cache has read its context in pieces.
 */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { type AttunedModel, from_pretrained, type TransformersModel } from '../../hooks/model/index.ts';
import { keepCache } from '../../interventions/index.ts';
import { QWEN, type Shape, SMOLLM2, sessionOptions } from '../overhead/models.ts';
import { compare, paired, spread } from '../paired.ts';
import type { Case, RunOptions, Suite } from '../suite.ts';
import { memoryCase } from './memory.ts';
import { perplexityCase } from './perplexity.ts';

type Outputs = Record<string, Tensor>;
type Model = TransformersModel & AttunedModel & ((inputs: object) => Promise<Outputs>);

const CONTEXT = 4000;
const BUDGET = 512;
const BOUND = 0.5;
/** From one round of keys that go to the next. */
const TOKENS = 32;
const PAIRS = 3;
const PIECE = 500;

const loaded = new Map<Shape, Promise<Model>>();

function load(shape: Shape, { clock }: RunOptions): Promise<Model> {
  const model =
    loaded.get(shape) ??
    shape.folder().then(async (folder) => {
      return (await from_pretrained(AutoModelForCausalLM as never, folder, {
        dtype: 'q4',
        runtime: 'onnxruntime',
        session_options: sessionOptions(clock) as Record<string, unknown>,
      })) as Model;
    });
  loaded.set(shape, model);
  return model;
}

const int64 = (length: number, value: (i: number) => number) =>
  new Tensor(
    'int64',
    BigInt64Array.from({ length }, (_, i) => BigInt(value(i))),
    [1, length],
  );

/** A sequence that goes on where its last call ended. */
class Sequence {
  readonly #model: Model;
  #past: Outputs | undefined;
  tokens = 0;

  constructor(model: Model) {
    this.#model = model;
  }

  /** As if `length` tokens had been read. */
  pretend(length: number, { numLayers, numKeyValueHeads: K, headDim: D }: Shape['config']): void {
    const names = Array.from({ length: numLayers }, (_, i) =>
      ['key', 'value'].map((part) => `past_key_values.${i}.${part}`),
    ).flat();
    const random = () =>
      new Tensor(
        'float32',
        Float32Array.from({ length: K * length * D }, () => Math.random() - 0.5),
        [1, K, length, D],
      );
    this.#past = Object.fromEntries(names.map((name) => [name, random()]));
    this.tokens = length;
  }

  async read(count: number): Promise<void> {
    const from = this.tokens;
    this.tokens += count;
    const outputs = await this.#model({
      input_ids: int64(count, (i) => ((from + i) * 7919 + 13) % 49_000),
      attention_mask: int64(this.tokens, () => 1),
      num_logits_to_keep: new Tensor('int64', [1n], []),
      ...(this.#past && { past_key_values: this.#past }),
    });
    const presents = Object.entries(outputs).filter(([name]) => name.startsWith('present'));
    this.#past = Object.fromEntries(
      presents.map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
  }

  /** Bytes of keys and values. */
  get bytes(): number {
    return Object.values(this.#past!).reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0);
  }
}

function caseOf(shape: Shape, score: string): Case {
  return {
    case: `${shape.name}, ${score}, ${BUDGET} of ${CONTEXT} keys`,
    bound: BOUND,
    run: async (options) => {
      const model = await load(shape, options);
      const bounded = new Sequence(model.with([keepCache({ score, budget: BUDGET } as never)]));
      while (bounded.tokens < CONTEXT) await bounded.read(PIECE);
      const steps = (sequence: Sequence) => async () => {
        for (let i = 0; i < TOKENS; i++) await sequence.read(1);
      };
      const all = new Sequence(model.with([]));
      const baseline = steps(all);
      all.pretend(CONTEXT, shape.config);
      const pairs = await paired(baseline, steps(bounded), { pairs: PAIRS * options.effort });
      const comparison = compare(pairs, options.clock);
      const { ratio } = comparison;
      const other = options.clock === 'wall' ? 'cpu' : 'wall';
      const share = (bounded.bytes / all.bytes).toFixed(2);
      return {
        baselineMs: comparison.baselineMs / TOKENS,
        ms: comparison.ms / TOKENS,
        ratio,
        note: `a token; ${spread(comparison)}; ${share} of the bytes; by ${other} clock ${compare(pairs, other).ratio.toFixed(3)}`,
      };
    },
  };
}

export const longContextSuite: Suite = {
  name: 'long-context',
  summary: `decoding behind ${CONTEXT} tokens, a cache of ${BUDGET} keys against one of all`,
  cases: [
    ...['window', 'h2o', 'tova', 'snapkv', 'key-norm', 'keydiff'].map((score) => caseOf(SMOLLM2, score)),
    ...['window', 'snapkv'].map((score) => caseOf(QWEN, score)),
    memoryCase,
    perplexityCase('every key, as far as it goes', undefined),
    perplexityCase('window of 128, 4 sinks', { budget: 128, every: 8 }),
    perplexityCase('window of 128, no sinks', { budget: 128, sinks: 0, every: 8 }),
    perplexityCase('window of 32, 4 sinks', { budget: 32, every: 8 }),
    perplexityCase('window of 32, no sinks', { budget: 32, sinks: 0, every: 8 }),
    ...(['h2o', 'tova', 'snapkv', 'key-norm', 'keydiff', 'random'] as const).map((score) =>
      perplexityCase(`${score}, 32 keys`, { score, budget: 32, recent: 16, every: 8, positions: 'slots' }),
    ),
  ],
  close: async () => {
    for (const model of loaded.values()) await (await model).dispose();
    loaded.clear();
  },
};
