/** Biases in front of GroupQueryAttention: in blocks of rows a model computes what it computes in whole calls. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compile, type KernelOptions } from '../../hooks/compile/compile.ts';
import { relativeDifference, runtime } from '../../hooks/session/fixture-runs.test-support.ts';
import { completeFeeds, type Feeds, type HookedSession, startSession } from '../../hooks/session/index.ts';
import { DataType, openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import type { Edit, Plan } from '../plan.ts';

const KNOB = 'test.first_weight';

/** ln of a weight on the first key, every layer and head alike; 0 does nothing. */
function planOf(sites: ReturnType<typeof recognise>['sites']): Plan {
  return {
    knobs: [
      {
        name: KNOB,
        elemType: DataType.FLOAT,
        shape: [1, 1, 1, 1],
        neutral: { dims: [1, 1, 1, 1], data: Float32Array.of(0) },
      },
    ],
    edits: sites.map(
      (site): Edit => ({
        kind: 'bias',
        site,
        build: ({ emit, attentionMask, once }) =>
          once('bias', () => {
            const T = emit.dim(attentionMask!, 1);
            const first = emit.op(
              'Equal',
              [emit.reshape(emit.range(T), [1, 1, 1, -1]), emit.int(0)],
              'first',
            );
            return emit.op('Mul', [KNOB, emit.cast(first, DataType.FLOAT)], 'bias');
          }),
      }),
    ),
  };
}

describe.each([
  'gemma2-gqa',
  'gemma3-gqa',
  'llama-gqa',
  'llama-gqa-separate',
  'llama3-rope-gqa',
  'mistral-gqa',
  'phi3-gqa',
  'qwen2-gqa',
  'qwen3-gqa',
])('%s', (name) => {
  const sessions: HookedSession[] = [];
  afterAll(async () => {
    for (const session of sessions) await session.release();
  });

  test('logits and cache are those of whole calls; neutral, bit for bit those of the untouched model', async () => {
    const fixture = loadFixture(name);
    const file = await openModel(join(fixture.folder, 'onnx/model.onnx'));
    const recognition = recognise(file.model, { source: file.source });
    const start = async (plan: Plan, how: KernelOptions) => {
      const session = await startSession(file, compile(recognition, plan, how), { runtime });
      sessions.push(session);
      return session;
    };
    const plan = planOf(recognition.sites.filter(({ attention }) => attention === 'self'));
    const [plain, whole, blocks] = [
      await start({}, {}),
      await start(plan, { lowering: 'keep-operator' }),
      await start(plan, { lowering: 'keep-in-blocks', blockRows: 2 }),
    ];
    const run = async (session: HookedSession, feeds: Feeds, weight: number) => {
      if (session !== plain) session.setKnob(KNOB, { dims: [1, 1, 1, 1], data: Float32Array.of(weight) });
      return session.run(feeds);
    };
    const ids = Array.from({ length: 20 }, (_, i) => (7 * i + 3) % 60);
    const prompt = completeFeeds(file.model.graph, { input_ids: [ids.slice(0, 13)] }, runtime);
    const present = await run(plain, prompt, 0);
    const mask = { attention_mask: [ids.map(() => 1)] };
    const later = completeFeeds(file.model.graph, { input_ids: [ids.slice(13)], ...mask }, runtime);
    const cache = Object.entries(present).filter(([output]) => output.startsWith('present'));
    const chunk = {
      ...later,
      ...Object.fromEntries(cache.map(([output, x]) => [output.replace('present', 'past_key_values'), x])),
    };
    for (const feeds of [prompt, chunk]) {
      const [untouched, neutral] = [await run(plain, feeds, 0), await run(blocks, feeds, 0)];
      const [a, b] = [await run(whole, feeds, 2), await run(blocks, feeds, 2)];
      for (const output of Object.keys(untouched)) {
        expect(neutral[output]!.data, output).toEqual(untouched[output]!.data);
        expect(relativeDifference(b[output]!, a[output]!), output).toBeLessThan(1e-5);
      }
      // Under a window later rows do not see the first key.
      if (feeds === prompt) expect(relativeDifference(b.logits!, untouched.logits!)).toBeGreaterThan(1e-4);
    }
    file.close();
  });
});
