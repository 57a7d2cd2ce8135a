/** What PINE's specification takes and refuses, its baselines, what belongs to a cache, ties, and taps. */
import { Tensor as OrtTensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  activation,
  batch,
  FORMS,
  load,
  maxDifference,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import {
  cacheOf,
  documentPrompt,
  greedyTokens,
  lastLogits,
  more,
  permutations,
} from '../hooks/model/documents.test-support.ts';
import { build, rePosition, type Tensor, tensor } from '../kernels/reference/index.ts';
import { rope } from '../kernels/reference/re-position.ts';
import { contentOrder, findDocuments } from './documents.ts';
import { act, pine, segmentPrompt, splitAtMarkers, zeroTuning } from './index.ts';

type Span = [number, number];
const NAME = 'llama-gqa';
const prompt = documentPrompt(NAME, [0, 1, 2]);
const own = (spans: readonly (readonly [number, number])[]) =>
  pine({ documents: spans.map(([a, b]): Span => [a, b]) });

describe('spans that are refused', () => {
  test.each([
    ['none', [], /no document/],
    [
      'an empty one',
      [
        [3, 6],
        [6, 6],
      ],
      /document 1.*without a token/,
    ],
    [
      'an overlap',
      [
        [3, 6],
        [5, 9],
      ],
      /document 1, \[5, 9\), which begins before document 0 ends at 6/,
    ],
    [
      'another order',
      [
        [6, 9],
        [3, 6],
      ],
      /document 1.*before document 0 ends/,
    ],
    [
      'tokens between',
      [
        [3, 6],
        [8, 9],
      ],
      /2 tokens between document 0.*separators belong inside/,
    ],
    [
      'no prefix',
      [
        [0, 6],
        [6, 9],
      ],
      /at the first token.*such as BOS/,
    ],
  ] as [string, Span[], RegExp][])('%s', (_, documents, message) => {
    expect(() => pine({ documents })).toThrow(/DOCUMENT_SPANS/);
    expect(() => pine({ documents })).toThrow(message);
    expect(() => pine({ documents: [[[1, 2]], documents] })).toThrow(message);
  });

  test('parameters of another form', () => {
    expect(() => pine({ documents: [[3, 6.5]] })).toThrow('SPEC_INVALID');
    expect(() => pine({ mode: 'best' as never })).toThrow('SPEC_INVALID');
  });
});

describe('markers', () => {
  const markers = { begin: [[7, 8], [9]], end: [5], most: 3 };

  test('documents begin with theirs and end where the next or the end marker begins', () => {
    expect(findDocuments([1, 5, 7, 8, 2, 9, 9, 3, 5, 9], markers, 0)).toEqual([
      [2, 5],
      [5, 6],
      [6, 8],
    ]);
  });

  test.each([
    [[1, 7, 2, 5], /no marker of a document/],
    [[1, 9, 2, 9], /no end marker/],
    [[1, 9, 9, 9, 9, 5], /4 documents but expected at most 3/],
  ])('%j is refused', (ids, message) => {
    expect(() => findDocuments(ids, markers, 2)).toThrow(message);
    expect(() => findDocuments(ids, markers, 2)).toThrow(/DOCUMENT_MARKERS.*row 2/);
  });

  test('in a text', () => {
    const markers = { begin: 'Document: ', end: 'Question:' };
    expect(splitAtMarkers('Read.\nDocument: a\nDocument: b\nQuestion: c', markers)).toEqual({
      prefix: 'Read.\n',
      documents: ['Document: a\n', 'Document: b\n'],
      suffix: 'Question: c',
    });
    expect(() => splitAtMarkers('Document: a', markers)).toThrow(/DOCUMENT_MARKERS.*no end marker/);
    expect(() => splitAtMarkers('Question: a', markers)).toThrow(/no beginning/);
    expect(() => splitAtMarkers('a', { begin: '', end: 'b' })).toThrow(/empty marker/);
  });
});

test('pieces are encoded one by one, with special tokens before the first', () => {
  const encode = (text: string, { add_special_tokens = true } = {}) => [
    ...(add_special_tokens ? [1] : []),
    ...[...text].map((letter) => letter.charCodeAt(0)),
  ];
  // Called, it gives tensors, as those of transformers.js do.
  const call = () => ({ input_ids: new OrtTensor('int64', BigInt64Array.of(1n), [1, 1]) });
  const tokenizer = Object.assign(call, { encode });
  const { input_ids, documents } = segmentPrompt(tokenizer, {
    prefix: '',
    documents: ['ab', 'c'],
    suffix: 'd',
  });
  expect([...(input_ids.data as BigInt64Array)].map(Number)).toEqual([1, 97, 98, 99, 100]);
  expect(documents).toEqual([
    [1, 3],
    [3, 4],
  ]);
  expect(() => segmentPrompt(tokenizer, { prefix: '', documents: [''], suffix: '' })).toThrow(
    /DOCUMENT_SPANS.*no token/,
  );
});

test('places among equally important documents follow their content, not their order', () => {
  const documents = [[5, 6], [5], [7, 1, 2], [5, 7]];
  const places = contentOrder(documents);
  for (const order of permutations(4)) {
    expect(contentOrder(order.map((j) => documents[j]!))).toEqual(order.map((j) => places[j]));
  }
  expect([...places].sort()).toEqual([0, 1, 2, 3]);
});

test.each([
  ['mistral-gqa', /layer 0.*window of 5/],
  ['gemma3-gqa', /window of 4/],
  ['gpt2', /no rotary positions/],
])('%s is refused', async (name, message) => {
  const model = await load(name);
  try {
    expect(() => model.use([own([[3, 5]])])).toThrow(/INTERVENTION_REFUSED/);
    expect(() => model.use([own([[3, 5]])])).toThrow(message);
  } finally {
    await model.dispose();
  }
});

describe.each(FORMS)('%s', (name) => {
  let model: TestModel;
  beforeAll(async () => {
    model = await load(name);
  });
  afterAll(async () => {
    await model.dispose();
  });

  test('a prompt that the documents do not fit, or none given, is refused before it runs', async () => {
    model.use([
      own([
        [3, 6],
        [6, 40],
      ]),
    ]);
    await expect(model(batch(prompt.ids))).rejects.toThrow(
      /DOCUMENT_SPANS.*row 0.*\[6, 40\), in a prompt of 20 tokens/,
    );
    model.use([pine({ documents: [[[3, 6]], [[3, 6]], [[3, 6]]] })]);
    await expect(model(batch(prompt.ids))).rejects.toThrow(/ROWS_MISMATCH.*1 rows.*expected 3/);
    model.use([pine({})]);
    await expect(model(batch(prompt.ids))).rejects.toThrow(/DOCUMENT_SPANS.*no documents/);
    expect(() => model.use([own(prompt.spans), act({ heads: [0] })])).toThrow('INTERVENTION_CONFLICT');
  });

  test('a cache belongs to the documents it was made with', async () => {
    const S = prompt.ids.length;
    const start = batch(prompt.ids.slice(0, S - 2));
    const next = more(prompt.ids.slice(S - 2, S - 1), S - 2);
    model.use([]);
    const plain = await model(start);
    model.use([own(prompt.spans)]);
    await expect(model({ ...next, ...cacheOf(plain) })).rejects.toThrow(/STATE_MISMATCH.*unknown origin/);
    const made = await model(start);
    const again = await model(start);
    const expected = lastLogits((await model({ ...next, ...cacheOf(made) })).logits, 1);
    // Another sequence in between, and a second branch off the same cache.
    expect(lastLogits((await model({ ...next, ...cacheOf(again) })).logits, 1)).toEqual(expected);
    expect(lastLogits((await model({ ...next, ...cacheOf(made) })).logits, 1)).toEqual(expected);
    model.use([own([prompt.spans[0]!, prompt.spans[1]!])]);
    await expect(model({ ...next, ...cacheOf(made) })).rejects.toThrow('STATE_MISMATCH');
    model.use([]);
    await expect(model({ ...next, ...cacheOf(made) })).rejects.toThrow(/STATE_MISMATCH.*made under pine/);
  });

  test('documents found by markers are those of the spans', async () => {
    const { ids, spans } = documentPrompt(name, [0, 1]);
    const begin = spans.map(([start]) => [ids[start]!, ids[start + 1]!]);
    const end = ids.slice(spans[1]![1], spans[1]![1] + 2);
    const expected = await model.using([own(spans)], () => greedyTokens(model, batch(ids), 4));
    const marked = pine({ documents: { begin, end: [...end], most: 3 } });
    expect(await model.using([marked], () => greedyTokens(model, batch(ids), 4))).toEqual(expected);
  });

  test('the pattern that is tapped is the one in force, and adds up', async () => {
    const { ids, spans } = prompt;
    const [first, last] = [spans[0]!, spans.at(-1)!];
    model.use([own(spans)]);
    const { dims, data } = await activation(model, batch(ids), 'blocks.1.attn.hook_pattern');
    const [, H, S, T] = dims as [number, number, number, number];
    const at = (h: number, s: number, t: number) => data[(h * S + s) * T + t]!;
    for (let h = 0; h < H; h++) {
      for (let s = 0; s < S; s++) {
        const sum = Array.from({ length: T }, (_, t) => at(h, s, t)).reduce((a, b) => a + b, 0);
        expect(sum).toBeCloseTo(1, 5);
      }
      expect(at(h, first[0], last[0])).toBeGreaterThan(0); // documents see later ones
      expect(at(h, first[0], first[0] + 1)).toBe(0); // and themselves causally
      expect(at(h, first[0], last[1])).toBe(0); // and nothing behind them
    }
  });

  test('orders do not matter with a first token that weighs more, either', async () => {
    const runs = [];
    for (const order of [
      [0, 1, 2],
      [2, 0, 1],
    ]) {
      const { ids, spans, suffix } = documentPrompt(name, order);
      model.use([own(spans), zeroTuning({ gamma: 2 })]);
      runs.push(lastLogits((await model(batch(ids))).logits, suffix));
    }
    expect(maxDifference(runs[0]!, runs[1]!)).toBeLessThan(1e-5);
    model.use([own(prompt.spans)]);
    const without = lastLogits((await model(batch(prompt.ids))).logits, prompt.suffix);
    expect(maxDifference(runs[0]!, without)).toBeGreaterThan(1e-3);
  });

  test.each(['nia', 'pcw', 'sp'] as const)(
    '%s by its definition, in the first layer, prompt and decoding',
    async (mode) => {
      const { ids, spans } = prompt;
      const points = ['rot_q', 'rot_k', 'v', 'z'].map((kind) => `blocks.0.attn.hook_${kind}`);
      model.use([]);
      const plain = (await model.runWithCache(batch(ids), points.slice(0, 3))).cache;
      const heads = (point: string, from = plain) => {
        const { dims, data } = from.get(point)!;
        const [B, S, H, D] = dims as [number, number, number, number];
        return build([B, H, S, D], (_, h, s, d) => data[(s! * H + h!) * D + d!]!);
      };
      const [q, k, v] = points.slice(0, 3).map((point) => heads(point)) as [Tensor, Tensor, Tensor];
      const z = baseline(mode, q, k, v, spans);
      model.use([pine({ mode, documents: spans.map(([a, b]): Span => [a, b]) })]);
      const whole = heads(points[3]!, (await model.runWithCache(batch(ids), points[3]!)).cache);
      expect(maxDifference(whole.data, z.data)).toBeLessThan(1e-5);
      const past = ids.length - 2;
      const { output } = await model.runWithCache(batch(ids.slice(0, past)), points[3]!);
      const next = await model.runWithCache(
        { ...more(ids.slice(past, past + 1), past), ...cacheOf(output) },
        points[3]!,
      );
      const one = heads(points[3]!, next.cache);
      const expected = build(
        one.shape,
        (_, h, _s, d) => z.data[(h! * ids.length + past) * one.shape[3]! + d!]!,
      );
      expect(maxDifference(one.data, expected.data)).toBeLessThan(1e-5);
    },
  );
});

/** Attention of the paper's baselines in float64, (1, H, S, D), from rotated queries and keys of the fixture. */
function baseline(
  mode: 'nia' | 'pcw' | 'sp',
  q: Tensor,
  k: Tensor,
  v: Tensor,
  spans: readonly (readonly [number, number])[],
): Tensor {
  const [, H, S, D] = q.shape as [number, number, number, number];
  const K = k.shape[1]!;
  const turns = rope(10000, D);
  const [begin, end] = [spans[0]![0], spans.at(-1)![1]];
  const longest = Math.max(...spans.map(([from, to]) => to - from));
  const document = (t: number) => spans.findIndex(([from, to]) => t >= from && t < to);
  const position = (t: number) => {
    if (mode === 'nia') return t;
    if (t >= end) return t - (end - begin) + longest;
    return document(t) < 0 ? t : begin + t - spans[document(t)]![0];
  };
  const moved = tensor(
    [1, 1, S],
    Array.from({ length: S }, (_, t) => position(t) - t),
  );
  const [queries, keys] = [rePosition(q, moved, turns), rePosition(k, moved, turns)];
  const at = ({ data, shape }: Tensor, n: number, s: number) =>
    data.subarray((n * S + s) * shape[3]!, (n * S + s + 1) * shape[3]!);
  const rows = Array.from({ length: H }, (_, h) =>
    Array.from({ length: S }, (_, s) => {
      const weights = Array.from({ length: S }, (_, t) => {
        const apart = document(s) >= 0 && document(t) >= 0 && document(s) !== document(t);
        if (t > s || apart) return 0;
        const dot = at(queries, h, s).reduce(
          (sum, x, d) => sum + x * at(keys, Math.floor(h / (H / K)), t)[d]!,
          0,
        );
        const share = mode === 'sp' && s >= end && document(t) >= 0 ? 1 / spans.length : 1;
        return share * Math.exp(dot / Math.sqrt(D));
      });
      const total = weights.reduce((a, b) => a + b, 0);
      return (d: number) =>
        weights.reduce((sum, weight, t) => sum + (weight / total) * at(v, Math.floor(h / (H / K)), t)[d]!, 0);
    }),
  );
  return build([1, H, S, v.shape[3]!], (_, h, s, d) => rows[h!]![s!]!(d!));
}
