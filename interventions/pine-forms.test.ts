/**
 * PINE on every rotary form: the first layer against its definition in float64, the order of documents, prompt and decoding,
 * cache and recomputation, batches with a layout for each row.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batch, load, logits, maxDifference, type TestModel } from '../hooks/model/attuned.test-support.ts';
import {
  cacheOf,
  documentPrompt,
  greedyTokens,
  lastLogits,
  more,
  permutations,
  ROTARY_FORMS,
} from '../hooks/model/documents.test-support.ts';
import { documents } from '../kernels/edits/documents.ts';
import { build, rePosition, type Tensor, tensor } from '../kernels/reference/index.ts';
import { type Rope, rope } from '../kernels/reference/re-position.ts';
import { solve } from '../kernels/reference/solve.ts';
import { pine } from './index.ts';

/** Sums of float32 in another order; logits of the fixtures are of order 10. */
const TOLERANCE = 1e-5;

/** Rotation as the model's configuration has it, from its definition and not from the graph. */
function ropeOf(config: Record<string, unknown>): Rope {
  const { hidden_size, num_attention_heads, head_dim, n_embd, n_head } = config as Record<string, number>;
  const D = head_dim ?? (hidden_size ?? n_embd)! / (num_attention_heads ?? n_head)!;
  const parameters = (config.rope_parameters ?? config.rope_scaling ?? {}) as Record<string, number>;
  const theta = (config.rope_theta ?? parameters.rope_theta ?? config.rotary_emb_base ?? 10000) as number;
  const share = (config.partial_rotary_factor ??
    parameters.partial_rotary_factor ??
    config.rotary_pct ??
    1) as number;
  const dim = (config.rotary_dim as number | undefined) ?? Math.floor(D * share);
  const plain = rope(theta, dim, config.model_type === 'gptj');
  if ((parameters as Record<string, unknown>).rope_type !== 'llama3') return plain;
  // Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, a ramp between.
  const { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings: length } = parameters;
  return {
    ...plain,
    frequencies: plain.frequencies.map((frequency) => {
      const wave = (2 * Math.PI) / frequency;
      if (wave < length! / high_freq_factor!) return frequency;
      if (wave > length! / low_freq_factor!) return frequency / factor!;
      const smooth = (length! / wave - low_freq_factor!) / (high_freq_factor! - low_freq_factor!);
      return ((1 - smooth) * frequency) / factor! + smooth * frequency;
    }),
  };
}

/** Orders of four and five documents: a fixed sample of the 24 and 120. */
const LONGER = [
  [0, 1, 2, 3],
  [3, 1, 0, 2],
  [2, 3, 1, 0],
  [0, 1, 2, 3, 4],
  [4, 3, 2, 1, 0],
  [2, 4, 0, 3, 1],
  [1, 0, 4, 2, 3],
];

describe.each([
  { name: 'llama-gqa', dtype: 'q4' },
  { name: 'qwen2-gqa', dtype: 'q4' },
  { name: 'qwen2-eager', dtype: 'q4' },
  { name: 'llama-gqa', dtype: 'fp32' },
  { name: 'gptj', dtype: 'fp32' },
])('four and five documents, $name in $dtype', ({ name, dtype }) => {
  test('one answer whatever their order, prompt and decoding', async () => {
    const model = await load(name, { dtype });
    try {
      const answers = new Map<number, { logits: Float32Array; tokens: number[] }>();
      for (const order of LONGER) {
        const { ids, spans, suffix } = documentPrompt(name, order);
        model.use([pine({ documents: spans.map(([start, end]): [number, number] => [start, end]) })]);
        const found = lastLogits((await model(batch(ids))).logits, suffix);
        const tokens = (await greedyTokens(model, batch(ids), 6))[0]!;
        const first = answers.get(order.length);
        if (first) {
          expect(maxDifference(found, first.logits)).toBeLessThan(TOLERANCE);
          expect(tokens).toEqual(first.tokens);
        } else answers.set(order.length, { logits: found, tokens });
      }
      expect(answers.size).toBe(2);
    } finally {
      await model.dispose();
    }
  });
});

describe.each(ROTARY_FORMS)('%s', (name) => {
  let model: TestModel;
  beforeAll(async () => {
    model = await load(name);
  });
  afterAll(async () => {
    await model.dispose();
  });

  const under = <T>(spans: readonly (readonly [number, number])[], work: () => Promise<T>) =>
    model.using([pine({ documents: spans.map(([start, end]): [number, number] => [start, end]) })], work);

  test('the first layer is PINE by its definition', async () => {
    const { ids, spans } = documentPrompt(name, [2, 0, 1]);
    const points = ['rot_q', 'rot_k', 'v', 'z'].map((kind) => `blocks.0.attn.hook_${kind}`);
    const { cache } = await model.runWithCache(batch(ids), points.slice(0, 3));
    const seen = await under(spans, () => model.runWithCache(batch(ids), points.slice(3)));
    const bhsd = (point: string, from: typeof cache): Tensor => {
      const { dims, data } = from.get(point)!;
      const [B, S, H, D] = dims as [number, number, number, number];
      return build([B, H, S, D], (b, h, s, d) => data[((b! * S + s!) * H + h!) * D + d!]!);
    };
    const turns = ropeOf(model.config as Record<string, unknown>);
    const back = tensor(
      [1, 1, ids.length],
      [...ids.keys()].map((i) => -i),
    );
    const [q, k] = points.slice(0, 2).map((point) => rePosition(bhsd(point, cache), back, turns)) as [
      Tensor,
      Tensor,
    ];
    const starts = spans.map(([start]) => start);
    const bounds = tensor([1, spans.length + 1], [...starts, spans.at(-1)![1]]);
    const expected = solve({
      q,
      k,
      v: bhsd(points[2]!, cache),
      scale: model.attune.facts.decoder[0]!.scale,
      rope: turns,
      edits: [{ edit: documents.with({ mode: 'pine' }), values: { bounds } }],
    }).output;
    const z = bhsd(points[3]!, seen.cache);
    expect(z.shape).toEqual(expected.shape);
    expect(maxDifference(z.data, expected.data)).toBeLessThan(1e-5);
  });

  test('all orders of three documents: one answer, prompt and decoding', async () => {
    const runs = [];
    for (const order of permutations(3)) {
      const { ids, spans, suffix } = documentPrompt(name, order);
      runs.push(
        await under(spans, async () => ({
          logits: lastLogits((await model(batch(ids))).logits, suffix),
          tokens: (await greedyTokens(model, batch(ids), 8))[0],
        })),
      );
    }
    const [first, ...others] = runs;
    for (const { logits, tokens } of others) {
      expect(maxDifference(logits, first!.logits)).toBeLessThan(TOLERANCE);
      expect(tokens).toEqual(first!.tokens);
    }
    const { ids } = documentPrompt(name, [0, 1, 2]);
    const { ids: swapped } = documentPrompt(name, [2, 1, 0]);
    const plain = [await logits(model, batch(ids)), await logits(model, batch(swapped))];
    const V = plain[0]!.length / ids.length;
    expect(maxDifference(plain[0]!.slice(-V), plain[1]!.slice(-V))).toBeGreaterThan(0.01);
  });

  test('with the cache as without: in the suffix, token by token, a part at a time', async () => {
    const { ids, spans, suffix } = documentPrompt(name, [0, 1, 2]);
    await under(spans, async () => {
      const whole = lastLogits((await model(batch(ids))).logits, suffix);
      const V = whole.length / suffix;
      // This export's own mask takes one token after a cache, also untouched ("invalid expand shape").
      const inParts = name === 'llama-mha' ? [] : [[3, 1]];
      for (const steps of [[1, 1, 1, 1], ...inParts]) {
        let past = ids.length - 4;
        let output = await model(batch(ids.slice(0, past)));
        for (const count of steps) {
          output = await model({ ...more(ids.slice(past, past + count), past), ...cacheOf(output) });
          past += count;
          const expected = whole.slice(
            (past - count - ids.length + suffix) * V,
            (past - ids.length + suffix) * V || undefined,
          );
          expect(maxDifference(lastLogits(output.logits, count), expected)).toBeLessThan(TOLERANCE);
        }
      }
    });
  });

  test('rows of a padded batch, each with its own documents, are as they are alone', async () => {
    const prompts = [
      documentPrompt(name, [1, 0, 2]),
      documentPrompt(name, [0, 3], 4),
      documentPrompt(name, [4, 1, 0]),
    ];
    const rows = batch(...prompts.map(({ ids }) => ids));
    const documents = prompts.map(({ spans }) => spans.map(([start, end]): [number, number] => [start, end]));
    const together = await model.using([pine({ documents })], async () => ({
      logits: (await model(rows)).logits,
      tokens: await greedyTokens(model, rows, 6),
    }));
    for (const [row, { ids, spans, suffix }] of prompts.entries()) {
      const alone = await under(spans, async () => ({
        logits: lastLogits((await model(batch(ids))).logits, suffix),
        tokens: (await greedyTokens(model, batch(ids), 6))[0],
      }));
      expect(maxDifference(lastLogits(together.logits, suffix, row), alone.logits)).toBeLessThan(TOLERANCE);
      expect(together.tokens[row]).toEqual(alone.tokens);
    }
  });

  test('one document is plain attention, and so is none, bit for bit', async () => {
    const { ids, spans } = documentPrompt(name, [1]);
    const plain = await logits(model, batch(ids));
    expect(await under(spans, () => logits(model, batch(ids)))).toEqual(plain);
    expect(await greedyTokens(model, batch(ids), 4)).toEqual(
      await under(spans, () => greedyTokens(model, batch(ids), 4)),
    );
  });
});
