/** Tiny decoders of every kind run in onnxruntime-node; what one form computes, every form computes. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { assemble, encodeModel } from '../../onnx/index.ts';
import type { DecoderOptions } from './build.ts';
import { buildDecoder } from './decoder.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { dequantizeInt4 } from './int4.ts';
import { givenParameters, type Parameters, randomParameters } from './parameters.ts';

const llama: DecoderConfig = {
  modelType: 'llama',
  vocabSize: 40,
  hiddenSize: 32,
  intermediateSize: 48,
  numLayers: 2,
  numHeads: 4,
  numKeyValueHeads: 2,
  headDim: 16,
  rmsNormEps: 1e-6,
  ropeTheta: 10000,
  maxPositions: 64,
  tieWordEmbeddings: true,
};
const qwen2: DecoderConfig = { ...llama, modelType: 'qwen2', tieWordEmbeddings: false };
const smallHeads: DecoderConfig = { ...llama, headDim: 8, numKeyValueHeads: 4 };
const int4 = { kind: 'int4', blockSize: 16, accuracyLevel: 0 } as const;

const PROMPT = [3, 17, 29, 8, 0, 39, 11, 5];

/** Float32 sums in another order; logits here are of order 1. */
const TOLERANCE = 1e-4;

interface Cache {
  readonly length: number;
  readonly values: Record<string, Tensor>;
}

class Runner {
  readonly #session: InferenceSession;
  readonly #config: DecoderConfig;

  private constructor(session: InferenceSession, config: DecoderConfig) {
    this.#session = session;
    this.#config = config;
  }

  static async make(config: DecoderConfig, options: DecoderOptions, parameters = randomParameters('test')) {
    const { model, source } = buildDecoder(config, parameters, options);
    const bytes = await assemble(encodeModel(model), source);
    return new Runner(await InferenceSession.create(bytes), config);
  }

  emptyCache(): Cache {
    const { numLayers, numKeyValueHeads: K, headDim: D } = this.#config;
    const names = Array.from({ length: numLayers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    const empty = () => new Tensor('float32', new Float32Array(0), [1, K, 0, D]);
    return { length: 0, values: Object.fromEntries(names.map((name) => [name, empty()])) };
  }

  /** Rows of logits of the tokens that follow the cache. */
  async run(
    ids: readonly number[],
    past = this.emptyCache(),
    extra: Record<string, Tensor> = {},
  ): Promise<{ rows: number[][]; cache: Cache }> {
    const length = past.length + ids.length;
    const int64 = (values: readonly number[]) =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const feeds: Record<string, Tensor> = {
      input_ids: int64(ids),
      attention_mask: int64(new Array<number>(length).fill(1)),
      ...extra,
    };
    if (this.#session.inputNames.includes('position_ids')) {
      feeds.position_ids = int64(ids.map((_, i) => past.length + i));
    }
    for (const [name, value] of Object.entries(past.values)) feeds[`past_key_values.${name}`] = value;
    const results = await this.#session.run(feeds);
    const names = Object.keys(past.values);
    const values = Object.fromEntries(names.map((name) => [name, results[`present.${name}`] as Tensor]));
    const { data, dims } = results.logits as Tensor;
    const vocab = dims[2]!;
    const rows = Array.from({ length: dims[1]! }, (_, i) => [
      ...(data as Float32Array).subarray(i * vocab, (i + 1) * vocab),
    ]);
    return { rows, cache: { length, values } };
  }

  get inputNames(): readonly string[] {
    return this.#session.inputNames;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }
}

function expectClose(a: readonly number[][], b: readonly number[][], tolerance = TOLERANCE): void {
  expect(a.map((row) => row.length)).toEqual(b.map((row) => row.length));
  const differences = a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!)));
  expect(Math.max(...differences)).toBeLessThan(tolerance);
}

const reference = { form: 'decomposed' } as const;

const cases: readonly { name: string; config: DecoderConfig; options: DecoderOptions }[] = [
  { name: 'decomposed, fused norm', config: llama, options: { form: 'decomposed', norm: 'fused' } },
  { name: 'decomposed, no position_ids', config: llama, options: { form: 'decomposed', positionIds: false } },
  { name: 'gqa', config: llama, options: { form: 'gqa' } },
  { name: 'gqa, position_ids', config: llama, options: { form: 'gqa', positionIds: true } },
  { name: 'gqa, packed', config: llama, options: { form: 'gqa', packedQkv: true } },
  { name: 'gqa, separate rotary', config: llama, options: { form: 'gqa', rotary: 'separate' } },
  { name: 'gqa, head size 8', config: smallHeads, options: { form: 'gqa' } },
  { name: 'gqa, Qwen2', config: qwen2, options: { form: 'gqa' } },
  { name: 'gqa, Qwen2, packed', config: qwen2, options: { form: 'gqa', packedQkv: true } },
];

describe.each(cases)('$name', ({ config, options }) => {
  test('agrees with the decomposed form', async () => {
    await using one = await Runner.make(config, reference);
    await using other = await Runner.make(config, options);
    expectClose((await other.run(PROMPT)).rows, (await one.run(PROMPT)).rows);
  });
});

describe.each([{ name: 'decomposed', config: llama, options: reference }, ...cases])(
  '$name',
  ({ config, options }) => {
    test('decoding with the cache = recomputing', async () => {
      await using runner = await Runner.make(config, options);
      const whole = await runner.run(PROMPT);
      const prefill = await runner.run(PROMPT.slice(0, 5));
      const rows = [...prefill.rows];
      let { cache } = prefill;
      for (const id of PROMPT.slice(5)) {
        const step = await runner.run([id], cache);
        rows.push(...step.rows);
        cache = step.cache;
      }
      expectClose(rows, whole.rows);
    });
  },
);

test('a token does not see later ones, and sees earlier ones', async () => {
  await using runner = await Runner.make(llama, reference);
  const { rows } = await runner.run(PROMPT);
  const changed = (await runner.run([...PROMPT.slice(0, 7), 1])).rows;
  expect(changed.slice(0, 7)).toEqual(rows.slice(0, 7));
  const first = (await runner.run([1, ...PROMPT.slice(1)])).rows;
  expect(Math.abs(first[7]![0]! - rows[7]![0]!)).toBeGreaterThan(1e-3);
});

describe('int4', () => {
  /** Floats that the 4-bit weights stand for. */
  const dequantized = (parameters: Parameters): Parameters => ({
    ...parameters,
    float: (name, dims) => {
      const [rows, columns] = dims as [number, number];
      // The embedding is left in float32 where only linear layers are quantised; tied weights are off here.
      if (dims.length === 1 || name.endsWith('embed_tokens.weight')) return parameters.float(name, dims);
      return dequantizeInt4(parameters.int4(name, rows, columns, 16), rows, columns, 16);
    },
  });

  test.each([{ form: 'gqa' }, { form: 'decomposed' }] as const)(
    '$form equals float32 with the weights it stands for',
    async (options) => {
      // 40 is not a multiple of the block size, so down_proj has a padded block.
      const config = { ...qwen2, intermediateSize: 40 };
      const parameters = randomParameters('test');
      await using quantized = await Runner.make(config, { ...options, weights: int4 }, parameters);
      await using floats = await Runner.make(config, reference, dequantized(parameters));
      expectClose((await quantized.run(PROMPT)).rows, (await floats.run(PROMPT)).rows);
    },
  );

  test('given weights: quantised, the same as dequantised by hand', async () => {
    const names = new Map<string, Float32Array>();
    const random = randomParameters('given');
    const recorded: Parameters = {
      ...random,
      float: (name, dims) => {
        const values = random.float(name, dims);
        names.set(name, values);
        return values;
      },
    };
    await using original = await Runner.make(qwen2, reference, recorded);
    const given = givenParameters(names);
    await using quantized = await Runner.make(qwen2, { form: 'gqa', weights: int4 }, given);
    await using floats = await Runner.make(qwen2, reference, dequantized(given));
    const { rows } = await quantized.run(PROMPT);
    expectClose(rows, (await floats.run(PROMPT)).rows);
    expect(maxAbs(rows[7]!, (await original.run(PROMPT)).rows[7]!)).toBeGreaterThan(1e-3);
  });

  test('an int4 embedding equals float32 with the values it stands for', async () => {
    const parameters = randomParameters('test');
    const table = 'model.embed_tokens.weight';
    const { vocabSize, hiddenSize } = llama;
    const values = dequantizeInt4(
      parameters.int4(table, vocabSize, hiddenSize, 16),
      vocabSize,
      hiddenSize,
      16,
    );
    const float: Parameters['float'] = (name, dims) =>
      name === table ? values : parameters.float(name, dims);
    const options = { form: 'gqa', weights: int4 } as const;
    await using quantized = await Runner.make(llama, { ...options, embedding: 'int4' }, parameters);
    await using floats = await Runner.make(llama, options, { ...parameters, float });
    expectClose((await quantized.run(PROMPT)).rows, (await floats.run(PROMPT)).rows);
  });
});

test('num_logits_to_keep keeps the last rows, 0 all', async () => {
  await using runner = await Runner.make(llama, { form: 'gqa', numLogitsToKeep: true });
  const keep = (count: number) => ({
    num_logits_to_keep: new Tensor('int64', BigInt64Array.of(BigInt(count)), []),
  });
  const all = (await runner.run(PROMPT, undefined, keep(0))).rows;
  expect(all).toHaveLength(PROMPT.length);
  expectClose((await runner.run(PROMPT, undefined, keep(2))).rows, all.slice(-2));
});

test('the interface is that of the Hub', async () => {
  await using runner = await Runner.make(llama, { form: 'gqa', positionIds: true });
  const cache = [0, 1].flatMap((i) => [`past_key_values.${i}.key`, `past_key_values.${i}.value`]);
  expect(runner.inputNames).toEqual(['input_ids', 'attention_mask', 'position_ids', ...cache]);
});

test.each([
  { options: { form: 'gqa', rotary: 'separate', positionIds: false } },
  { options: { form: 'gqa', rotary: 'separate', packedQkv: true } },
  { options: { form: 'gqa', embedding: 'int4' } },
] as const)('$options is refused', ({ options }) => {
  expect(() => buildDecoder(llama, randomParameters('test'), options)).toThrow('DECODER_OPTIONS');
});

function maxAbs(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
}
