/** The `kernels` option of a live model: every lowering gives the same logits, a small budget of scores too, and one that cannot be refuses. */
import { expect, test } from 'vitest';
import { act, zeroTuning } from '../../interventions/index.ts';
import { batch, load, logits, maxDifference, prompt } from './attuned.test-support.ts';

const long = Array.from({ length: 24 }, (_, i) => prompt[i % prompt.length]!);
const inputs = batch(long);

async function under(kernels: object, interventions: object[], fixture = 'llama-gqa'): Promise<Float32Array> {
  const model = await load(fixture, { kernels });
  try {
    model.use(interventions as never);
    return await logits(model, inputs);
  } finally {
    await model.dispose();
  }
}

test('ZeroTuning is the same through every lowering of GroupQueryAttention', async () => {
  const spec = [zeroTuning({ gamma: 3 })];
  const fused = await under({ lowering: 'keep-operator' }, spec);
  expect(maxDifference(fused, await under({ lowering: 'keep-operator' }, []))).toBeGreaterThan(1e-3);
  for (const kernels of [{ lowering: 'keep-in-blocks', blockRows: 8 }, { lowering: 'expand' }]) {
    expect(maxDifference(await under(kernels, spec), fused)).toBeLessThan(1e-5);
  }
});

test('attention written out in blocks of a few rows is the same as in one', async () => {
  const spec = [act({ heads: 'all', threshold: { alpha: 2 } })];
  const whole = await under({}, spec);
  expect(maxDifference(await under({ scoreBytes: 1024 }, spec), whole)).toBeLessThan(1e-5);
});

test('a lowering that cannot do what is asked is refused, not replaced', async () => {
  await expect(
    under({ lowering: 'keep-in-blocks' }, [zeroTuning({ gamma: 3 })], 'llama-mha'),
  ).rejects.toMatchObject({
    code: 'LOWERING_UNAVAILABLE',
  });
});
