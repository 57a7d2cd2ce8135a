/** Interventions by the native operator: what other runtimes make of the same model, in prompts and token by token. */
import { describe, expect, test } from 'vitest';
import { load, maxDifference, prompt, type TestModel } from '../hooks/model/attuned.test-support.ts';
import type { Intervention } from '../hooks/model/index.ts';
import { native, WHY_NOT } from '../hooks/session/native/native.test-support.ts';
import { act, zeroTuning } from './index.ts';
import { stepwise } from './method-checks.test-support.ts';

/** Rounding of float32 in two orders of arithmetic through all layers of a fixture, as a part of the largest logit. */
const ROUNDING = 1e-5;

const METHODS: Readonly<Record<string, () => Intervention>> = {
  zerotuning: () => zeroTuning({ gamma: 1.7 }),
  'zerotuning, a head': () => zeroTuning({ gamma: 0.3, heads: [1], layers: [0] }),
  'act, running': () => act({ beta: 0.3, heads: 'all', threshold: { alpha: 1 } }),
  'act, frozen': () => act({ beta: 0.3, heads: 'all', threshold: { alpha: 1 }, statistics: 'frozen' }),
  'act, row': () => act({ beta: 0.3, heads: [0], threshold: { alpha: 1 }, statistics: 'row' }),
  'act, first detected': () =>
    act({ beta: 0.3, heads: 'all', threshold: { alpha: 1 }, exclude: 'first_detected' }),
};

const ids = [...prompt, 7, 11, 3, 20];
const steps = (model: TestModel) => stepwise(model, ids, prompt.length);

describe.skipIf(!native)(`the native operator${WHY_NOT}`, () => {
  test.each(['llama-gqa', 'llama-gqa-separate', 'qwen2-gqa', 'phi3-gqa', 'gemma3-gqa'])(
    '%s',
    async (fixture) => {
      const own = await load(fixture, { runtime: 'native', kernels: { lowering: 'native' } });
      const other = await load(fixture, { runtime: 'onnxruntime' });
      try {
        const untouched = await steps(other);
        for (const [name, make] of Object.entries(METHODS)) {
          own.use([make()]);
          other.use([make()]);
          const [found, expected] = [await steps(own), await steps(other)];
          for (const [i, row] of found.entries()) {
            const bound = ROUNDING * Math.max(...row.map(Math.abs));
            expect(maxDifference(row, expected[i]!), `${name}, step ${i}`).toBeLessThan(bound);
          }
          // It did something.
          expect(maxDifference(found.at(-1)!, untouched.at(-1)!), name).toBeGreaterThan(100 * ROUNDING);
          own.use([]);
          const off = await steps(own);
          for (const [i, row] of off.entries()) expect(row, `${name} off`).toEqual(untouched[i]);
        }
      } finally {
        await own.dispose();
        await other.dispose();
      }
    },
  );
});
