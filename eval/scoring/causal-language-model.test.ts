/**
 * Shared computation against one pass for each request: on a model written here, where every logit depends on all the
 * tokens before it, and on the exported fixtures.
 */
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer, env, Tensor } from '@huggingface/transformers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CausalTokenizer, causalLanguageModel } from './causal-language-model.ts';
import type { TokenRequest } from './language-model.ts';
import type { CausalModel } from './pass.ts';

const V = 13;

/** Logits [V] after these tokens: an arbitrary function of all of them and their order. */
function logitsAfter(tokens: readonly number[]): number[] {
  let h = 17;
  for (const token of tokens) h = (Math.imul(h, 31) + token + 1) | 0;
  return Array.from({ length: V }, (_, v) => Math.sin(h * (v + 1)) * 3);
}

/** A causal model whose cache holds the tokens themselves; it refuses a mask that does not cover cache and input. */
function hashModel(config: object = {}): CausalModel & { batches: number[][] } {
  const batches: number[][] = [];
  const run = async (inputs: Record<string, unknown>) => {
    const { input_ids, attention_mask, past_key_values } = inputs as Record<string, Tensor>;
    const [B, S] = input_ids!.dims as [number, number];
    const past = (past_key_values as unknown as Record<string, Tensor> | undefined)?.[
      'past_key_values.0.key'
    ];
    const P = past?.dims[2] ?? 0;
    if (past && past.dims[0] !== B) throw new Error('the cache has another batch');
    expect(attention_mask!.dims).toEqual([B, P + S]);
    batches.push([B, P, S]);
    const rows = Array.from({ length: B }, (_, b) => [
      ...Array.from({ length: P }, (_, p) => (past as Tensor).data[b * P + p] as number),
      ...Array.from({ length: S }, (_, s) => Number(input_ids!.data[b * S + s])),
    ]);
    const logits = rows.flatMap((row) =>
      Array.from({ length: S }, (_, s) => logitsAfter(row.slice(0, P + s + 1))).flat(),
    );
    return {
      logits: new Tensor('float32', Float32Array.from(logits), [B, S, V]),
      'present.0.key': new Tensor('float32', Float32Array.from(rows.flat()), [B, 1, P + S, 1]),
    };
  };
  return Object.assign(run, { config, batches });
}

const tokenizer: CausalTokenizer = {
  encode: (text) => [...text].map((letter) => letter.charCodeAt(0) % V),
  decode: (ids) => ids.map((id) => `<${id}>`).join(''),
  bos_token_id: 0,
};

/** Straight from the definition. */
function expected({ context, continuation }: TokenRequest) {
  const all = [...context, ...continuation];
  return continuation.reduce(
    ({ logLikelihood, greedy }, token, i) => {
      const logits = logitsAfter(all.slice(0, context.length + i));
      const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
      return {
        logLikelihood: logLikelihood + (logits[token] as number) - total,
        greedy: greedy && logits.indexOf(Math.max(...logits)) === token,
      };
    },
    { logLikelihood: 0, greedy: true },
  );
}

const tokens = (constraints: { minLength: number; maxLength: number }) =>
  fc.array(fc.nat(V - 1), constraints);

test('any list of requests, sharing much or nothing, scores as its definition says', async () => {
  const request = fc.record({
    context: fc.oneof(fc.constantFrom([1, 2, 3, 4], [1, 2, 9]), tokens({ minLength: 1, maxLength: 6 })),
    continuation: tokens({ minLength: 1, maxLength: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      async (requests, share) => {
        const model = causalLanguageModel(hashModel(), tokenizer, { share });
        const { scores, cost } = await model.logLikelihoods(requests);
        for (const [i, request] of requests.entries()) {
          const { logLikelihood, greedy } = expected(request);
          // float32 logits of size 3: 2e-7 a token, at most 5 tokens
          expect(scores[i]!.logLikelihood).toBeCloseTo(logLikelihood, 5);
          expect(scores[i]).toMatchObject({ greedy, truncated: false });
        }
        const whole = requests.reduce(
          (n, { context, continuation }) => n + context.length + continuation.length - 1,
          0,
        );
        expect(cost.unsharedTokens).toBe(whole);
        const inputs = requests.map(({ context, continuation }) =>
          [...context, ...continuation].slice(0, -1),
        );
        const once = new Map(inputs.map((row) => [row.join(), row.length]));
        if (!share) expect(cost.tokens).toBe([...once.values()].reduce((n, length) => n + length, 0));
      },
    ),
    { numRuns: 200 },
  );
});

const context = Array.from({ length: 40 }, (_, i) => i % V);

test('four choices after one context: one pass over the context, then the choices alone, less than half the tokens', async () => {
  const model = hashModel();
  const requests = [[1, 2, 3], [1, 2], [4], [5, 6, 7, 8]].map((continuation) => ({ context, continuation }));
  const { cost } = await causalLanguageModel(model, tokenizer).logLikelihoods(requests);
  expect(model.batches).toEqual([
    [1, 0, 40],
    [1, 40, 2],
    [1, 40, 1],
    [1, 40, 3],
  ]);
  expect(cost).toMatchObject({ tokens: 46, unsharedTokens: 166, calls: 4 });
  expect(cost.unsharedTokens / cost.tokens).toBeGreaterThan(2);
});

test('choices of one token cost the context alone', async () => {
  const requests = [1, 2, 3, 4].map((token) => ({ context, continuation: [token] }));
  const { cost } = await causalLanguageModel(hashModel(), tokenizer).logLikelihoods(requests);
  expect(cost).toMatchObject({ tokens: 40, unsharedTokens: 160, calls: 1 });
});

test('too long inputs lose tokens at the left, as if they had never been there', async () => {
  const model = causalLanguageModel(hashModel({ max_position_embeddings: 8 }), tokenizer);
  const { scores } = await model.logLikelihoods([{ context, continuation: [3, 4, 5] }]);
  const kept = expected({ context: context.slice(-6), continuation: [3, 4, 5] });
  expect(scores[0]!.logLikelihood).toBeCloseTo(kept.logLikelihood, 5);
  expect(scores[0]!.truncated).toBe(true);
  await expect(model.logLikelihoods([{ context, continuation: Array(9).fill(1) }])).rejects.toMatchObject({
    code: 'SCORE_TOO_LONG',
  });
});

/** Greedy continuation straight from the definition. */
function continuation(prompt: readonly number[], length: number): number[] {
  const all = [...prompt];
  for (let i = 0; i < length; i++) {
    const logits = logitsAfter(all);
    all.push(logits.indexOf(Math.max(...logits)));
  }
  return all.slice(prompt.length);
}

describe('writing', () => {
  const words = (ids: number[]) => tokenizer.decode(ids);

  test('each token is the largest after all before it; the cache saves reading them again', async () => {
    const model = hashModel();
    const { text, tokens, cost } = await causalLanguageModel(model, {
      ...tokenizer,
      eos_token_id: V,
    }).generate(context, {
      until: [],
      maxTokens: 12,
    });
    expect([text, tokens]).toEqual([words(continuation(context, 12)), 12]);
    expect(model.batches).toEqual([[1, 0, 40], ...Array.from({ length: 11 }, (_, i) => [1, 40 + i, 1])]);
    expect(cost).toMatchObject({ tokens: 51, decodedTokens: 11, calls: 12 });
  });

  test('EOS of tokenizer, configuration or generation configuration ends it and is not shown', async () => {
    const all = continuation(context, 12);
    const end = all[4] as number;
    const before = all.slice(0, all.indexOf(end));
    for (const [config, eos] of [
      [{}, { eos_token_id: end }],
      [{ eos_token_id: [V, end] }, {}],
    ] as const) {
      const written = await causalLanguageModel(hashModel(config), { ...tokenizer, ...eos }).generate(
        context,
        {
          until: [],
          maxTokens: 12,
        },
      );
      expect([written.text, written.tokens]).toEqual([words(before), before.length]);
    }
    const model = Object.assign(hashModel(), { generation_config: { eos_token_id: end } });
    const written = await causalLanguageModel(model, tokenizer).generate(context, {
      until: [],
      maxTokens: 12,
    });
    expect(written.tokens).toBe(before.length);
  });

  test('a text that ends it may lie across tokens; what was written after its beginning is cut off', async () => {
    const all = continuation(context, 12);
    const end = `${all[3]}><${all[4]}`;
    const { text, tokens } = await causalLanguageModel(hashModel(), tokenizer).generate(context, {
      until: ['none', end],
      maxTokens: 12,
    });
    expect(text).toBe(words(all).split(end)[0]);
    expect(tokens).toBeLessThanOrEqual(5);
  });

  test('room for what is to be written is taken from the left of the prompt', async () => {
    const model = causalLanguageModel(hashModel({ max_position_embeddings: 20 }), tokenizer);
    const written = await model.generate(context, { until: [], maxTokens: 5 });
    expect(written).toMatchObject({ text: words(continuation(context.slice(-15), 5)), truncated: true });
    await expect(model.generate(context, { until: [], maxTokens: 20 })).rejects.toMatchObject({
      code: 'SCORE_TOO_LONG',
    });
  });
});

test('logits that are not finite give NaN, never a number', async () => {
  const run = async (inputs: Record<string, unknown>) => {
    const { dims } = inputs.input_ids as Tensor;
    return {
      logits: new Tensor('float32', new Float32Array(dims[1]! * V).fill(Number.NaN), [1, dims[1]!, V]),
    };
  };
  const model = causalLanguageModel(Object.assign(run, { config: {} }), tokenizer);
  const { scores } = await model.logLikelihoods([{ context: [1], continuation: [2] }]);
  expect(scores[0]!.logLikelihood).toBeNaN();
});

test('a model without logits and a tokenizer without BOS and EOS are typed errors', async () => {
  const run = async () => ({ last_hidden_state: new Tensor('float32', new Float32Array(V), [1, 1, V]) });
  const model = causalLanguageModel(Object.assign(run, { config: {} }), tokenizer);
  await expect(model.logLikelihoods([{ context: [1], continuation: [2] }])).rejects.toMatchObject({
    code: 'MODEL_OUTPUT',
  });
  expect(() => causalLanguageModel(hashModel(), { ...tokenizer, bos_token_id: null })).toThrow(
    expect.objectContaining({ code: 'MODEL_NO_PREFIX_TOKEN' }),
  );
});

const fixtures = ['llama-eager', 'llama-sdpa', 'llama-gqa', 'gpt2'];

describe.each(fixtures)('%s', (name) => {
  const folder = fileURLToPath(new URL(`../../testbed/fixtures/${name}`, import.meta.url));
  let model: Awaited<ReturnType<typeof AutoModelForCausalLM.from_pretrained>>;
  let words: Awaited<ReturnType<typeof AutoTokenizer.from_pretrained>>;

  beforeAll(async () => {
    expect(existsSync(folder)).toBe(true);
    Object.assign(env, { localModelPath: dirname(folder), allowRemoteModels: false });
    model = await AutoModelForCausalLM.from_pretrained(basename(folder), { dtype: 'fp32' });
    words = await AutoTokenizer.from_pretrained(basename(folder));
  });
  afterAll(() => model.dispose());

  test('sharing changes no log-likelihood and saves more than half of the tokens', async () => {
    const whole = words.encode('the cat sat on the mat and the dog ran away from the old house by the sea');
    const requests = [1, 2, 3, 4].map((n) => ({
      context: whole.slice(0, 12),
      continuation: [...whole.slice(n, 2 * n), ...whole.slice(0, 2)],
    }));
    const causal = model as unknown as CausalModel;
    const shared = await causalLanguageModel(causal, words).logLikelihoods(requests);
    const alone = await causalLanguageModel(causal, words, { share: false }).logLikelihoods(requests);
    for (const [i, { logLikelihood, greedy }] of alone.scores.entries()) {
      // The same sums in other batch shapes: float32 rounding of logits of order 1, over at most 6 tokens.
      expect(Math.abs(shared.scores[i]!.logLikelihood - logLikelihood)).toBeLessThan(2e-5);
      expect(shared.scores[i]!.greedy).toBe(greedy);
    }
    expect(alone.cost.tokens).toBe(shared.cost.unsharedTokens);
    expect(shared.cost.tokens * 2).toBeLessThanOrEqual(alone.cost.tokens);
  });

  test('unshared, requests with the same inputs are run once, in whatever order they come', async () => {
    const context = [1, 4, 5, 6];
    const requests = [[7], [8, 9], [3], [8, 2]].map((continuation) => ({ context, continuation }));
    const alone = causalLanguageModel(hashModel(), tokenizer, { share: false });
    const { scores, cost } = await alone.logLikelihoods(requests);
    // The inputs are the context, and the context with 8; each is met twice.
    expect([cost.calls, cost.tokens, cost.unsharedTokens]).toEqual([2, 9, 18]);
    for (const [i, request] of requests.entries()) {
      expect((await alone.logLikelihoods([request])).scores[0]).toEqual(scores[i]);
    }
  });
});
