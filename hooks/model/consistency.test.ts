/** What must not matter does not: chunks, batches, switching back and forth. */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { zeroTuning } from '../../interventions/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { type AttunedModel, from_pretrained, type TransformersModel } from './index.ts';

type Outputs = { logits: Tensor } & Record<string, Tensor>;
type Model = TransformersModel & AttunedModel & ((inputs: object) => Promise<Outputs>);

const models: TransformersModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

async function load(name: string): Promise<Model> {
  const { folder } = loadFixture(name);
  const model = await from_pretrained(AutoModelForCausalLM as never, folder, {
    dtype: 'fp32',
    interventions: [zeroTuning({ gamma: 1.5 })],
  });
  models.push(model);
  return model as Model;
}

function inputs(rows: readonly (readonly number[])[], past = 0) {
  const S = rows[0]!.length;
  const ids = new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, S]);
  const mask = new Tensor('int64', new BigInt64Array(rows.length * (past + S)).fill(1n), [
    rows.length,
    past + S,
  ]);
  return { input_ids: ids, attention_mask: mask };
}

function lastRow({ logits }: Outputs, row = 0): Float32Array {
  const [, S, V] = logits.dims as [number, number, number];
  return (logits.data as Float32Array).subarray((row * S + S - 1) * V, (row + 1) * S * V);
}

function worst(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

/** The cache a run leaves, as the next run's input. */
function cacheOf(outputs: Outputs): Record<string, Tensor> {
  const names = Object.keys(outputs).filter((name) => name.startsWith('present'));
  return Object.fromEntries(
    names.map((name) => [name.replace('present', 'past_key_values'), outputs[name]!]),
  );
}

describe.each(['llama-eager', 'llama-sdpa', 'llama-gqa', 'gpt2'])('%s with ZeroTuning', (name) => {
  const { single } = loadFixture(name).greedy!;
  const prompt = [...single.prompt, ...single.tokens.slice(0, 13)];

  test('a prompt fed in chunks gives the logits of the whole', async () => {
    const model = await load(name);
    const whole = lastRow(await model(inputs([prompt])));
    for (const chunk of [1, 5, 16]) {
      let outputs: Outputs | undefined;
      for (let from = 0; from < prompt.length; from += chunk) {
        const feed = inputs([prompt.slice(from, from + chunk)], from);
        outputs = await model(outputs ? { ...feed, past_key_values: cacheOf(outputs) } : feed);
      }
      expect(worst(lastRow(outputs!), whole), `chunks of ${chunk}`).toBeLessThan(1e-4);
    }
  });

  test('a row in a batch gets the logits it gets alone', async () => {
    const model = await load(name);
    const rows = [prompt, [...prompt].reverse(), prompt.map((id) => (id * 7 + 3) % 60)];
    const together = await model(inputs(rows));
    for (const [row, ids] of rows.entries()) {
      const alone = await model(inputs([ids]));
      expect(worst(lastRow(together, row), lastRow(alone))).toBeLessThan(1e-4);
    }
  });
});

const SWITCHES = cases(400);

test(`switching interventions ${SWITCHES} times in one session leaks nothing`, async () => {
  const model = await load('llama-gqa');
  const feed = inputs([loadFixture('llama-gqa').greedy!.single.prompt]);
  const settings = [[], [zeroTuning({ gamma: 0.5 })], [zeroTuning({ gamma: [1, 2, 0.5, 1.1] })]];
  const session = model.sessions.model;
  const switchTimes = async (count: number) => {
    for (let i = 0; i < count; i++) {
      model.use(settings[i % settings.length]!);
      await model(feed);
    }
    globalThis.gc?.();
    return process.memoryUsage().rss;
  };
  const warm = await switchTimes(200);
  const after = await switchTimes(SWITCHES);
  expect(model.sessions.model).toBe(session);
  expect(after / warm).toBeLessThan(1.05);
});
