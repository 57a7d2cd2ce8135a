/** Requests do not meet: whatever runs at the same time on one model, each gets what it gets alone. */
import { BaseStreamer, InterruptableStoppingCriteria, type Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { act, beamSearch, headScale, pine, tempScale, zeroTuning } from '../../interventions/index.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { batch, load, logits, prompt, type TestModel } from './attuned.test-support.ts';
import type { Intervention } from './index.ts';

const one = { session_options: { intraOpNumThreads: 1, logSeverityLevel: 4 } };
const models: TestModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});
async function fresh(options: object = {}): Promise<TestModel> {
  const model = await load('llama-gqa', { ...one, ...options });
  models.push(model);
  return model;
}

/** Token ids that depend on i, `length` of them. */
const tokens = (i: number, length: number) => Array.from({ length }, (_, k) => 3 + ((i * 11 + k * 7) % 50));

async function written(
  model: TestModel,
  rows: readonly (readonly number[])[],
  steps: number,
  more: object = {},
): Promise<string> {
  const output = (await model.generate({
    ...batch(...rows),
    max_new_tokens: steps,
    do_sample: false,
    eos_token_id: -1,
    ...more,
  })) as Tensor;
  return String(output.data);
}

const weak = [zeroTuning({ gamma: 0.05 })];
const strong = [zeroTuning({ gamma: 20 })];

interface Case {
  readonly name: string;
  readonly rows: readonly (readonly number[])[];
  readonly interventions: readonly Intervention[];
}

const CASES: readonly Case[] = [
  { name: 'none', rows: [prompt], interventions: [] },
  { name: 'ZeroTuning, weak', rows: [prompt], interventions: weak },
  { name: 'ZeroTuning, strong', rows: [tokens(1, 20)], interventions: strong },
  { name: 'ACT', rows: [tokens(2, 24)], interventions: [act({ heads: 'all', beta: 0.1 })] },
  {
    name: 'ACT, frozen',
    rows: [tokens(2, 24)],
    interventions: [act({ heads: 'all', statistics: 'frozen' })],
  },
  {
    name: 'PINE, two documents',
    rows: [tokens(3, 20)],
    interventions: [
      pine({
        documents: [
          [2, 8],
          [8, 14],
        ],
      }),
    ],
  },
  {
    name: 'PINE, others',
    rows: [tokens(3, 20)],
    interventions: [
      pine({
        documents: [
          [3, 6],
          [6, 16],
        ],
      }),
    ],
  },
  {
    name: 'PINE, four',
    rows: [tokens(4, 30)],
    interventions: [
      pine({
        documents: [
          [2, 8],
          [8, 14],
          [14, 18],
          [18, 25],
        ],
      }),
    ],
  },
  {
    name: 'a padded batch, two heads',
    rows: [prompt, prompt.slice(0, 3)],
    interventions: [headScale({ scale: 0.2, heads: [0, 2] })],
  },
  { name: 'beams', rows: [tokens(5, 9)], interventions: [beamSearch({ beams: 3 })] },
];
const STEPS = 8;
const alone = new Map<string, string>();
const run = (model: TestModel, { rows, interventions }: Case, steps = STEPS) =>
  written(model, rows, steps, { interventions });

beforeAll(async () => {
  // Each on a model that never saw another.
  for (const each of CASES) {
    const model = await load('llama-gqa', one);
    alone.set(each.name, await run(model, each));
    await model.dispose();
  }
}, 600_000);

test('the cases differ, so that a leak would be seen', () => {
  const text = (name: string) => alone.get(name);
  expect(new Set(['none', 'ZeroTuning, weak'].map(text)).size).toBe(2);
  expect(new Set(['PINE, two documents', 'PINE, others'].map(text)).size).toBe(2);
});

describe('interventions of a request', () => {
  test('overlap with others, by option, by view, by using(), and leave the model as it is', async () => {
    const model = await fresh();
    for (let round = 0; round < 2; round++) {
      const outputs = await Promise.all([
        ...CASES.map((each) => run(model, each)),
        ...CASES.map(({ rows, interventions }) => written(model.with(interventions), rows, STEPS)),
        ...CASES.map(({ rows, interventions }) =>
          model.using(interventions, (view) => written(view, rows, STEPS)),
        ),
        // The model itself, from inside.
        ...CASES.map(({ rows, interventions }) =>
          model.using(interventions, async () => {
            await Promise.resolve();
            return written(model, rows, STEPS);
          }),
        ),
      ]);
      const wanted = CASES.map(({ name }) => alone.get(name));
      expect(outputs).toEqual([...wanted, ...wanted, ...wanted, ...wanted]);
    }
    expect(model.attune.interventions).toEqual([]);
    expect(await run(model, CASES[0]!)).toBe(alone.get('none'));
  }, 600_000);

  test('act in a forward, too, beside the model, its views and its hooks', async () => {
    const model = await fresh();
    const plain = await logits(model, batch(prompt));
    const tuned = await logits(model.with(strong), batch(prompt));
    expect(tuned).not.toEqual(plain);
    const zero = [['blocks.1.attn.hook_z', ({ data }: { data: Float32Array }) => data.map(() => 0)]] as const;
    const hooked = await model.runWithHooks(zero, (view) => logits(view, batch(prompt)));
    const point = 'blocks.1.attn.hook_pattern';
    const read = async (of: TestModel, row: readonly number[]) =>
      (await of.runWithCache(batch(row), point)).cache.get(point)!.data;
    const patterns = [await read(model, prompt), await read(model.with(strong), tokens(6, 12))];
    const together = await Promise.all([
      logits(model, batch(prompt)),
      logits(model, { ...batch(prompt), interventions: strong }),
      model.runWithHooks(zero, () => logits(model, batch(prompt))),
      read(model, prompt),
      read(model.with(strong), tokens(6, 12)),
    ]);
    expect(together).toEqual([plain, tuned, hooked, ...patterns]);
  }, 600_000);

  test('a generation under way goes on with what it began with', async () => {
    const model = await fresh();
    let steps = 0;
    class Switching extends BaseStreamer {
      override put() {
        steps++;
        if (steps === 3) model.use([tempScale({ temperature: 3 })]);
        if (steps === 5) void written(model, [prompt, prompt.slice(0, 2)], 1);
      }
      override end() {}
    }
    const text = await written(model, [prompt], STEPS, { streamer: new Switching() });
    expect(text).toBe(alone.get('none'));
    expect(steps).toBe(STEPS + 1);
    expect(model.attune.interventions).toHaveLength(1);
  }, 600_000);
});

describe('states belong to caches', () => {
  const past = (output: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(output)
        .filter(([name]) => name.startsWith('present'))
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );

  test("loops over caches of one's own may alternate, while sessions come and go", async () => {
    const model = await fresh();
    const settings = [
      [act({ heads: 'all', beta: 0.1 })],
      [
        pine({
          documents: [
            [2, 5],
            [5, 8],
          ],
        }),
      ],
      [],
    ];
    const sequence = tokens(7, 10);
    const step = async (interventions: readonly Intervention[], i: number, before?: object) => {
      const { input_ids } = batch(before ? [sequence[i]!] : sequence.slice(0, i + 1));
      const { attention_mask } = batch(sequence.slice(0, i + 1));
      const output = (await model({
        input_ids,
        attention_mask,
        ...(before && { past_key_values: before }),
        interventions,
      })) as { logits: Tensor } & Record<string, unknown>;
      return { logits: (output.logits.data as Float32Array).slice(), past: past(output) };
    };
    const loop = async (interventions: readonly Intervention[], between: () => Promise<unknown>) => {
      let last = await step(interventions, 7);
      for (const i of [8, 9]) {
        await between();
        last = await step(interventions, i, last.past);
      }
      return last.logits;
    };
    const wanted = [];
    for (const each of settings) wanted.push(await loop(each, async () => {}));
    let turn = 0;
    // Something that was not compiled in, and a padded batch.
    const disturb = () =>
      written(model, [prompt, prompt.slice(0, 2 + turn)], 1, {
        interventions: [headScale({ scale: 0.5 }), tempScale({ temperature: 1 + turn++ })],
      });
    expect(await Promise.all(settings.map((each) => loop(each, disturb)))).toEqual(wanted);
  }, 600_000);
});

/** Short requests, eight at a time. */
const REQUESTS = 8 * cases(40);

test(`${REQUESTS} short requests with switches, padded batches, aborts and callbacks that throw`, async () => {
  const model = await fresh();
  // Of two kinds that remember, each in one variant: as many sessions as are kept.
  const chosen = CASES.filter(({ name }) => !['ACT, frozen', 'PINE, four', 'beams'].includes(name));
  for (const each of chosen) await run(model, each, 2);
  const short = new Map<string, string>();
  for (const each of chosen) short.set(each.name, await run(model, each, 2));
  class Throwing extends BaseStreamer {
    override put() {
      throw new Error('from a callback');
    }
    override end() {}
  }
  const memory = () => {
    (globalThis as { gc?: () => void }).gc?.();
    return process.memoryUsage().heapUsed / 2 ** 20;
  };
  let wrong = 0;
  let thrown = 0;
  let left = 0;
  let before = 0;
  for (let i = 0; i < REQUESTS; i += 8) {
    if (i === 80) before = memory();
    await Promise.all(
      Array.from({ length: 8 }, async (_, k) => {
        const each = chosen[(i + 3 * k) % chosen.length]!;
        if (k === 5) {
          const failing = run(model, each, 2).then(() =>
            written(model, each.rows, 2, { ...each, streamer: new Throwing() }),
          );
          await failing.catch((error: Error) => {
            thrown += Number(error.message === 'from a callback');
          });
          return;
        }
        if (k === 6) {
          const stop = new InterruptableStoppingCriteria();
          stop.interrupt();
          await written(model, each.rows, 2, { ...each, stopping_criteria: stop });
          return;
        }
        if (k === 7) model.use(i % 16 === 0 ? weak : []);
        if ((await run(model, each, 2)) !== short.get(each.name)) wrong++;
      }),
    );
    left = Math.max(left, model.attune.sessions);
  }
  model.use([]);
  expect({ wrong, thrown }).toEqual({ wrong: 0, thrown: REQUESTS / 8 });
  // Two that rest, and those of the requests under way.
  expect(left).toBeLessThanOrEqual(10);
  expect(model.attune.sessions).toBeLessThanOrEqual(2);
  // The heap of JavaScript, after garbage collection where node was started with --expose-gc.
  expect(memory() - before).toBeLessThan(40);
  expect(await run(model, CASES[0]!)).toBe(alone.get('none'));
}, 900_000);
