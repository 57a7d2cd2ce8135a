/** Activations as tensors of transformers.js, all layers as one, and those of a generation step by step. */
import { AutoModelForCausalLM, AutoTokenizer, ones_like, Tensor } from '@huggingface/transformers';
import { expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { ActivationCache } from './activation.ts';
import { from_pretrained } from './index.ts';

const made = (name: string, dims: number[], from: number) => ({
  name,
  axes: 'BSM',
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => from + i),
});
const cache = ActivationCache.of(
  [
    made('blocks.0.hook_resid_pre', [1, 2, 2], 0),
    made('blocks.1.hook_resid_pre', [1, 2, 2], 10),
    made('blocks.1.hook_q', [1, 2, 3], 0),
  ],
  { logits: new Tensor('float32', [0], [1]) },
);

test('stacks layers first, as a tensor', () => {
  const stacked = cache.stack('blocks.*.hook_resid_pre');
  expect(stacked).toBeInstanceOf(Tensor);
  expect([stacked.name, stacked.axes, stacked.dims]).toEqual([
    'blocks.*.hook_resid_pre',
    'LBSM',
    [2, 1, 2, 2],
  ]);
  expect(stacked.tolist()).toEqual([
    [
      [
        [0, 1],
        [2, 3],
      ],
    ],
    [
      [
        [10, 11],
        [12, 13],
      ],
    ],
  ]);
});

test('only what has one shape, and only what is there', () => {
  expect(() => cache.stack('**')).toThrow(/CACHE_STACK: at blocks\.1\.hook_q: found BSM \[1, 2, 3\]/);
  expect(() => cache.stack('blocks.*.hook_resid_pr')).toThrow('HOOK_UNKNOWN');
});

test('a generation leaves a cache for its prompt and for each token fed back, of what generate runs', async () => {
  const { folder } = loadFixture('llama-gqa');
  const tokenizer = await AutoTokenizer.from_pretrained(folder);
  await using model = await from_pretrained(AutoModelForCausalLM, folder, { dtype: 'fp32' });
  const inputs = tokenizer('the cat sat on');
  const [, S] = inputs.input_ids.dims as [number, number];
  const given = { ...inputs, max_new_tokens: 4, do_sample: false };
  const { output, steps } = await model.generateWithCache(given, 'blocks.*.attn.hook_{z,pattern}');
  expect(output.tolist()).toEqual(((await model.generate(given)) as Tensor).tolist());
  expect(steps.map((step) => step.get('blocks.0.attn.hook_z')!.dims[1])).toEqual([S, 1, 1, 1]);
  const input_ids = output.slice(null, [0, S + 3]);
  const { cache: whole } = await model.runWithCache(
    { input_ids, attention_mask: ones_like(input_ids) },
    'blocks.*.attn.hook_{z,pattern}',
  );
  const z = whole.get('blocks.1.attn.hook_z')!;
  expect([z instanceof Tensor, z.axes]).toEqual([true, 'BSHD']);
  for (const [i, step] of steps.entries()) {
    const own = step.get('blocks.1.attn.hook_z')!;
    const [, length] = own.dims as [number, number];
    const last = own.slice(null, [length - 1, length]).data as Float32Array;
    const same = z.slice(null, [S + i - 1, S + i]).data as Float32Array;
    expect(Math.max(...last.map((x, j) => Math.abs(x - same[j]!)))).toBeLessThan(1e-4);
    // Rows of the pattern are distributions over all that is cached.
    const pattern = step.get('blocks.1.attn.hook_pattern')!;
    expect(pattern.dims.at(-1)).toBe(S + i);
    for (const sum of pattern.sum(-1).data as Float32Array) expect(sum).toBeCloseTo(1, 4);
  }
});
