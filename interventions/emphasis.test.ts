/** Emphasis against the equations of PASTA and InstABoost in float64, on the pattern of the first layer. */
import { AutoTokenizer } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  activation,
  batch,
  FORMS,
  load,
  logits,
  mapRows,
  maxDifference,
  plainLogits,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import { emphasis, interventionFromJSON, markedChat, markedText } from './index.ts';
import {
  expectCachedAsRecomputed,
  expectRowsAsAlone,
  expectSameOnWasm,
  stepwise,
} from './method-checks.test-support.ts';

const PATTERN = 'blocks.0.attn.hook_pattern';
const PADDED = 3;
const spans: [number, number][] = [
  [1, 3],
  [2, 4],
  [4, 5],
];
const inSpans = (t: number) => t >= 1 && t < 5;

describe.each(FORMS)('%s', (form) => {
  let model: TestModel;
  beforeAll(async () => {
    model = await load(form, { prepare: [emphasis.kind] });
  });
  afterAll(() => model.dispose());
  // The second row is padded by PADDED tokens on the left.
  const inputs = batch(prompt, prompt.slice(PADDED));
  const firstOf = [0, PADDED];

  test.each([
    ['pasta', { alpha: 0.05 }, (t: number) => (inSpans(t) ? 1 : 0.05)],
    ['instaboost', { multiplier: 7 }, (t: number) => (inSpans(t) ? 7 : 1)],
  ] as const)(
    '%s %j in two heads: the union of its spans, rows renormalised',
    async (method, more, weight) => {
      model.use([]);
      const before = await activation(model, inputs, PATTERN);
      model.use([
        emphasis({
          spans,
          method,
          ...more,
          heads: [
            [0, 1],
            [0, 3],
          ],
        }),
      ]);
      const after = await activation(model, inputs, PATTERN);
      const wanted = mapRows(before, (row, { b, h }) => {
        if (h % 2 === 0) return row;
        const scaled = [...row].map((p, t) => (t < firstOf[b]! ? p : p * weight(t - firstOf[b]!)));
        const sum = scaled.reduce((total, p) => total + p, 0);
        return scaled.map((p) => p / sum);
      });
      const real = (data: Float32Array) =>
        data.filter((_, i) => i < data.length / 2 || Math.floor(i / prompt.length) % prompt.length >= PADDED);
      expect(maxDifference(real(after.data), real(wanted))).toBeLessThan(1e-5);
      expect(maxDifference(real(after.data), real(before.data))).toBeGreaterThan(0.05);
    },
  );

  test('spotlight: spans get their share of each row, a mean over heads', async () => {
    const [B, H, S] = [2, 4, prompt.length];
    model.use([]);
    const before = await activation(model, inputs, PATTERN);
    model.use([
      emphasis({
        spans,
        method: 'spotlight',
        share: 0.7,
        heads: [
          [0, 1],
          [0, 2],
          [0, 3],
        ],
      }),
    ]);
    const after = await activation(model, inputs, PATTERN);
    const marked = (b: number, t: number) => t >= firstOf[b]! && inSpans(t - firstOf[b]!);
    const mass = (b: number, h: number, s: number) =>
      [...before.data.subarray(((b * H + h) * S + s) * S, ((b * H + h) * S + s + 1) * S)].reduce(
        (sum, p, t) => sum + (marked(b, t) ? p : 0),
        0,
      );
    const wanted = mapRows(before, (row, { b, h, s }) => {
      const mean = [0, 1, 2, 3].reduce((sum, head) => sum + mass(b, head, s) / H, 0);
      const w = h === 0 ? 1 : Math.max(0.7 / Math.max(mean, 1e-10), 1);
      const sum = 1 + (w - 1) * mass(b, h, s);
      return [...row].map((p, t) => (p * (marked(b, t) ? w : 1)) / sum);
    });
    const real = (data: Float32Array) =>
      data.filter((_, i) => i < data.length / B || Math.floor(i / S) % S >= PADDED);
    expect(maxDifference(real(after.data), real(wanted))).toBeLessThan(1e-5);
    expect(maxDifference(real(after.data), real(before.data))).toBeGreaterThan(0.05);
    await expectCachedAsRecomputed(model, emphasis({ spans, method: 'spotlight', share: 0.9 }));
    await expectRowsAsAlone(model, () => emphasis({ spans, method: 'spotlight', share: 0.5, heads: [1] }));
    model.use([emphasis({ spans, method: 'spotlight', share: 0 })]);
    expect(await logits(model, batch(prompt))).toEqual(await plainLogits(form, batch(prompt)));
  });

  test('keys that were generated keep their logits', async () => {
    const ids = [...prompt, 9, 4];
    model.use([emphasis({ spans, alpha: 0.1, layers: [0] })]);
    const seen: Float32Array[] = [];
    await model.runWithHooks([[PATTERN, ({ data }) => void seen.push(data.slice())]], (view) =>
      stepwise(view as TestModel, ids, prompt.length),
    );
    model.use([]);
    const plain = await activation(model, batch(ids), PATTERN);
    const [H, T] = [4, ids.length];
    const wanted = Array.from({ length: H }, (_, h) => {
      const row = [...plain.data.subarray((h * T + T - 1) * T, (h * T + T) * T)];
      const scaled = row.map((p, t) => (inSpans(t) || t >= prompt.length ? p : 0.1 * p));
      const sum = scaled.reduce((total, p) => total + p, 0);
      return scaled.map((p) => p / sum);
    }).flat();
    expect(seen).toHaveLength(3);
    expect(maxDifference(seen[2]!, wanted)).toBeLessThan(1e-5);
  });

  test('a factor of 1 is bit-exact, and so is a row without spans', async () => {
    const single = batch(prompt);
    const plain = await plainLogits(form, single);
    for (const made of [
      emphasis({ spans, alpha: 1 }),
      emphasis({ spans, method: 'instaboost', multiplier: 1 }),
      emphasis({ spans: [[]] }),
    ]) {
      model.use([made]);
      expect(await logits(model, single)).toEqual(plain);
    }
    model.use([emphasis({ spans })]);
    expect(maxDifference(await logits(model, single), plain)).toBeGreaterThan(0.05);
  });

  test('tokens are found wherever they occur', async () => {
    const sequence = prompt.slice(2, 4);
    const places = prompt.flatMap((_, at): [number, number][] =>
      sequence.every((token, j) => prompt[at + j] === token) ? [[at, at + 2]] : [],
    );
    const run = (given: object) => {
      model.use([emphasis({ spans: given as never })]);
      return logits(model, batch(prompt));
    };
    expect(await run({ find: [sequence] })).toEqual(await run(places));
  });

  test('cached = recomputed, batch = single, padded = unpadded', async () => {
    await expectCachedAsRecomputed(model, emphasis({ spans, method: 'instaboost' }));
    await expectRowsAsAlone(model, () => emphasis({ spans, alpha: 0.02, heads: [1, 2] }));
    const own: [number, number][][] = [
      [[1, 3]],
      [],
      [
        [0, 2],
        [3, 5],
      ],
    ];
    await expectRowsAsAlone(model, (row) => emphasis({ spans: row === undefined ? own : [own[row]!] }));
  });
});

/** PASTA damps keys of the prompt alone, so a longer prompt is another question: generation against a loop by hand. */
test('pasta while generating is pasta with the prompt where it ends', async () => {
  const model = await load('llama-gqa');
  model.use([emphasis({ spans, alpha: 0.05 })]);
  const written = await model.generate({ ...batch(prompt), max_new_tokens: 8, eos_token_id: null });
  const ids = (written.tolist() as bigint[][])[0]!.map(Number);
  const rows = await stepwise(model, ids.slice(0, -1), prompt.length);
  expect(rows.map((row) => row.indexOf(Math.max(...row)))).toEqual(ids.slice(prompt.length));
  await model.dispose();
});

test('wasm = CPU', () => expectSameOnWasm('llama-gqa', emphasis({ spans, heads: [0, 2] })));

test('spans that are not in the prompt are refused, with row and span', async () => {
  const model = await load('llama-gqa');
  const refused = async (made: ReturnType<typeof emphasis>, inputs: object, message: RegExp) => {
    model.use([made]);
    await expect(model(inputs)).rejects.toThrow(message);
  };
  const N = prompt.length;
  await refused(
    emphasis({ spans: [[2, N + 1]] }),
    batch(prompt),
    new RegExp(`SPANS_INVALID.*row 0.*\\[2, ${N + 1}\\)`),
  );
  await refused(emphasis({ spans: [[2, N]] }), batch(prompt, prompt.slice(1)), /SPANS_INVALID.*row 1/);
  await refused(emphasis({ spans: { find: [[1, 1, 1, 1, 1]] } }), batch(prompt), /SPANS_INVALID.*find\[0\]/);
  await refused(
    emphasis({ spans: [[[0, 1]], [[1, 2]]] }),
    batch(prompt),
    /ROWS_MISMATCH.*batch of 1 rows.*2/,
  );
  expect(() => emphasis({ spans: [[3, 3]] })).toThrow(/SPEC_INVALID.*emphasis\.spans/);
  expect(() => emphasis({ spans, alpha: 0 })).toThrow(/SPEC_INVALID.*emphasis\.alpha/);
  expect(() => emphasis({ spans, multiplier: 2 })).toThrow(
    /SPEC_INVALID.*emphasis\.multiplier.*pasta has none/,
  );
  expect(() => model.use([emphasis({ spans, heads: [9] })])).toThrow('HEAD_OUT_OF_RANGE');
  await model.dispose();
});

test('text and chats with marks', async () => {
  const folder = new URL('../testbed/models/worlds-lm', import.meta.url).pathname;
  const tokenizer = await AutoTokenizer.from_pretrained(folder, { local_files_only: true });
  const { input_ids, spans: found } = markedText(tokenizer, [
    'the apple is ',
    { mark: 'red' },
    ' . ',
    { mark: 'not old' },
  ]);
  const ids = (input_ids.tolist() as bigint[][])[0]!.map(Number);
  const text = (at: readonly [number, number]) => tokenizer.decode(ids.slice(...at)).trim();
  expect(found.map(text)).toEqual(['red', 'not old']);
  expect(() => markedText(tokenizer, ['nothing'])).toThrow(/SPANS_INVALID.*nothing marked/);
  const chat = Object.assign((one: string) => tokenizer(one), {
    encode: (one: string, options?: object) => tokenizer.encode(one, options),
    apply_chat_template: (messages: { role: string; content: string }[]) =>
      messages.map(({ role, content }) => `${role} : ${content} .`).join(' '),
  });
  const messages = [
    { role: 'system', content: 'be red' },
    { role: 'user', content: 'is it old' },
    { role: 'system', content: 'be new' },
  ];
  const marked = markedChat(chat as never, messages, 'system');
  const all = (marked.input_ids.tolist() as bigint[][])[0]!.map(Number);
  expect(marked.spans.map((at) => tokenizer.decode(all.slice(...at)).trim())).toEqual(['be red', 'be new']);
  expect(() => markedChat(chat as never, messages, 'tool')).toThrow(/SPANS_INVALID.*nothing marked/);
});

test('its JSON gives the same specification back', () => {
  const made = emphasis({ spans: { find: [[4, 5]] }, method: 'instaboost' });
  expect(interventionFromJSON(JSON.parse(JSON.stringify(made))).hash).toBe(made.hash);
});
