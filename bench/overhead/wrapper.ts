/**
 * The JavaScript that attune runs for one decoded token, without the model: a session with the inputs and outputs of
 * a real decoder that answers at once. It is what the wrapper adds to a token at most, and can be measured to the
 * microsecond where whole tokens are noisy.
 */

import { RequestTracker } from '../../hooks/model/request.ts';
import {
  type Feeds,
  HookedSession,
  isPadded,
  loadRuntime,
  type OrtTensor,
} from '../../hooks/session/index.ts';
import { QWEN_05B } from '../models/qwen-int4.ts';
import { median } from '../statistics.ts';
import type { Measurement } from '../suite.ts';

const CONTEXT = 2048;
const RUNS = 2000;
const ROUNDS = 9;
const KNOB = 'knob';

export async function wrapperPerToken(): Promise<Measurement> {
  const { Tensor } = await loadRuntime('node');
  const { numLayers, numKeyValueHeads: K, headDim: D } = QWEN_05B;
  const feeds: Record<string, OrtTensor> = {
    input_ids: new Tensor('int64', BigInt64Array.of(1n), [1, 1]),
    attention_mask: new Tensor('int64', new BigInt64Array(CONTEXT).fill(1n), [1, CONTEXT]),
    position_ids: new Tensor('int64', BigInt64Array.of(BigInt(CONTEXT - 1)), [1, 1]),
  };
  const results: Record<string, OrtTensor> = {
    logits: new Tensor('float32', new Float32Array(1), [1, 1, 1]),
  };
  for (let layer = 0; layer < numLayers; layer++) {
    for (const part of ['key', 'value']) {
      // Sizes do not matter: tensors are handed on, not read.
      feeds[`past_key_values.${layer}.${part}`] = new Tensor('float32', new Float32Array(K * D), [
        1,
        K,
        1,
        D,
      ]);
      results[`present.${layer}.${part}`] = new Tensor('float32', new Float32Array(2 * K * D), [1, K, 2, D]);
    }
  }
  const instant = {
    inputNames: [...Object.keys(feeds), KNOB],
    outputNames: Object.keys(results),
    run: async () => results,
    release: async () => {},
  };
  const neutral = { dims: [1, numLayers, 1], data: new Float32Array(numLayers) };
  const knob = { name: KNOB, elemType: 1, shape: neutral.dims, neutral };
  const compiled = { model: {} as never, taps: [], knobs: [knob], states: [] };
  const session = new HookedSession(instant, compiled, await loadRuntime('node'));
  const tracker = new RequestTracker(undefined);
  const wrapped = async (given: Feeds) => {
    isPadded(given);
    tracker.observeRun(given);
    return session.run(given);
  };
  await perRun(wrapped, feeds); // compiled by V8
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await perRun(wrapped, feeds));
  return {
    ms: median(times),
    note: `JavaScript alone, ${Object.keys(feeds).length} inputs, ${CONTEXT} keys`,
  };
}

/** Milliseconds. */
async function perRun(run: (feeds: Feeds) => Promise<unknown>, feeds: Feeds): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < RUNS; i++) await run(feeds);
  return (performance.now() - start) / RUNS;
}
