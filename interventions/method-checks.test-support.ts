/** What every method has to hold, whatever it does: cached = recomputed, batch = single, padded = unpadded, wasm = CPU. */
import { Tensor } from '@huggingface/transformers';
import { expect } from 'vitest';
import {
  batch,
  load,
  logits,
  maxDifference,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import type { Intervention } from '../hooks/model/index.ts';
import { loadRuntime } from '../hooks/session/index.ts';

/** Rounding of float32 in products that are summed in another order. */
const ROUNDING = 2e-4;

/** Logits of the last token of a row, [V]. */
export function lastOf(all: Float32Array, rows = 1, length = prompt.length, row = 0): Float32Array {
  const V = all.length / (rows * length);
  return all.slice((row * length + length - 1) * V, (row + 1) * length * V);
}

type Outputs = Record<string, { data: Float32Array; dims: readonly number[] }>;

/** Logits after each token of `ids`, one call of a token each behind the first `start`. */
export async function stepwise(
  model: TestModel,
  ids: readonly number[],
  start: number,
): Promise<Float32Array[]> {
  const found: Float32Array[] = [];
  let past: object | undefined;
  for (let to = start; to <= ids.length; to++) {
    const here = ids.slice(past ? to - 1 : 0, to);
    const int64 = (values: readonly number[]) =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const attention_mask = int64(ids.slice(0, to).map(() => 1));
    const outputs = (await model({
      input_ids: int64(here),
      attention_mask,
      ...(past && { past_key_values: past }),
    })) as unknown as Outputs;
    past = Object.fromEntries(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present'))
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
    found.push(lastOf(outputs.logits!.data, 1, here.length));
  }
  return found;
}

/** A cache gives what the whole sequence gives. */
export async function expectCachedAsRecomputed(model: TestModel, made: Intervention): Promise<void> {
  model.use([made]);
  const ids = [...prompt, 7, 11, 3, 20];
  const cached = await stepwise(model, ids, prompt.length);
  for (const [i, row] of cached.entries()) {
    const length = prompt.length + i;
    const whole = lastOf(await logits(model, batch(ids.slice(0, length))), 1, length);
    expect(maxDifference(row, whole), `after ${length} tokens`).toBeLessThan(ROUNDING);
  }
}

/** Rows of a batch, left-padded or not, get what they get alone. */
export async function expectRowsAsAlone(
  model: TestModel,
  made: (row?: number) => Intervention,
): Promise<void> {
  const rows = [prompt, [...prompt].reverse(), prompt.slice(4)];
  model.use([made()]);
  const together = await logits(model, batch(...rows));
  for (const [row, ids] of rows.entries()) {
    model.use([made(row)]);
    const alone = lastOf(await logits(model, batch(ids)), 1, ids.length);
    expect(
      maxDifference(lastOf(together, rows.length, prompt.length, row), alone),
      `row ${row}`,
    ).toBeLessThan(ROUNDING);
  }
}

/** 16 greedy tokens are the same on onnxruntime-web's wasm. */
export async function expectSameOnWasm(name: string, made: Intervention): Promise<void> {
  const tokens = async (options: object) => {
    const model = await load(name, { interventions: [made], ...options });
    const written = await model.generate({
      ...batch(prompt),
      max_new_tokens: 16,
      do_sample: false,
      eos_token_id: null,
    });
    await model.dispose();
    return (written.tolist() as bigint[][])[0]!.map(Number);
  };
  const web = await loadRuntime('web');
  const wasm = await tokens({ runtime: web, session_options: { executionProviders: ['wasm'] } });
  expect(wasm).toHaveLength(prompt.length + 16);
  expect(wasm).toEqual(await tokens({}));
}
