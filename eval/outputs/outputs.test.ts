/** The rules of scoring on a model whose log-likelihoods are written down here. */
import { describe, expect, test } from 'vitest';
import { metrics as known } from '../metrics/index.ts';
import { encodePair } from '../scoring/encode.ts';
import { type LanguageModel, noCost, type TokenRequest } from '../scoring/language-model.ts';
import type { GenerationItem } from './generate.ts';
import type { MultipleChoiceItem } from './multiple-choice.ts';
import { rollingWindows } from './rolling.ts';
import { scoreItem } from './score-item.ts';

const BOS = 1;

/**
 * Tokens are code points; a run of a space and a letter is one token (offset 1000), as byte-pair tokenizers make them;
 * "st" is one token as well, so that a text's tokens are not those of its parts. BOS is added and is written "<s>".
 */
function encode(text: string, { specialTokens = true } = {}): number[] {
  const bos = specialTokens && !text.startsWith('<s>') ? [BOS] : [];
  const pieces = text.match(/<s>|st| \S|./gsu) ?? [];
  const id = (piece: string) =>
    piece === '<s>'
      ? BOS
      : piece === 'st'
        ? 2
        : piece.length > 1 && piece[0] === ' '
          ? 1000 + piece.codePointAt(1)!
          : piece.codePointAt(0)!;
  return [...bos, ...pieces.map(id)];
}

function model(score: (request: TokenRequest) => number, greedy = false, maxLength = 100): LanguageModel {
  return {
    maxLength,
    prefixToken: BOS,
    encode,
    generate: () => Promise.reject(new Error('asked to write')),
    logLikelihoods: async (requests) => ({
      scores: requests.map((request) => ({ logLikelihood: score(request), greedy, truncated: false })),
      cost: noCost,
    }),
  };
}

const ids = (text: string) => encode(text, { specialTokens: false });

describe('encodePair', () => {
  const pair = (context: string, continuation: string) =>
    encodePair(
      model(() => 0),
      context,
      continuation,
    );

  test('the continuation is what the whole text has beyond the context alone', () => {
    expect(pair('ab', ' cd')).toEqual({ context: [BOS, ...ids('ab')], continuation: ids(' cd') });
  });

  test('spaces at the end of the context move to the continuation', () => {
    expect(pair('ab ', 'cd')).toEqual(pair('ab', ' cd'));
    expect(pair('ab\n\u3000', 'c')).toEqual({ context: [BOS, ...ids('ab')], continuation: ids('\n\u3000c') });
  });

  test('what Python does not call space stays: a byte-order mark', () => {
    expect(pair('ab\uFEFF', 'c').context).toEqual([BOS, ...ids('ab\uFEFF')]);
  });

  test('a token across the border is cut by count, as the harness cuts it', () => {
    // "s" + "tu" is the tokens st, u; the context alone has BOS and s, so only u is left to score.
    expect(pair('s', 'tu')).toEqual({ context: [BOS, ...ids('s')], continuation: ids('u') });
    expect(() => pair('s', 't')).toThrow(expect.objectContaining({ code: 'SCORE_EMPTY' }));
  });

  test('without a context the prefix token stands before, once', () => {
    expect(pair('', 'ab')).toEqual({ context: [BOS], continuation: ids('ab') });
    expect(pair('', '<s>ab')).toEqual({ context: [BOS], continuation: ids('ab') });
    expect(pair('  ', 'ab')).toEqual({ context: [BOS], continuation: ids('  ab') });
  });
});

const item = (texts: string[], gold: number): MultipleChoiceItem => ({
  id: 'x',
  at: 'x:1',
  output: 'multiple_choice',
  gold,
  options: texts.map((text) => ({ context: 'q', continuation: ` ${text}`, text })),
});

const metrics = ['acc', 'acc_norm', 'acc_bytes', 'acc_mutual_info'] as const;

describe('multiple choice', () => {
  /** ℓ by the continuation's first letter, apart with and without a context. */
  const table = (conditional: Record<string, number>, alone: Record<string, number> = {}) =>
    model(({ context, continuation }) => {
      const letter = String.fromCodePoint((continuation[0] as number) - 1000);
      return (context.length === 1 ? alone : conditional)[letter] ?? Number.NaN;
    });
  const right = async (scored: ReturnType<typeof scoreItem>) =>
    Object.fromEntries(Object.entries((await scored).terms).map(([name, terms]) => [name, terms[0]]));

  test('acc takes ℓ, acc_norm ℓ per code point, acc_bytes ℓ per byte, acc_mutual_info ℓ minus ℓ alone', async () => {
    // lengths: a 1 code point 1 byte, 😀😀 2 code points 8 bytes, ccc 3 and 3, dddd 4 and 4
    const texts = ['a', '😀😀', 'ccc', 'dddd'];
    const lls = { a: -2, '😀': -2.4, c: -4, d: -5.5 }; // per code point −2, −1.2, −1.33, −1.375; per byte −2, −0.3, −1.33, −1.375
    const alone = { a: -2, '😀': -2, c: -4.5, d: -7 };
    const first = (text: string) => text.codePointAt(0)!;
    const fake = model(({ context, continuation }) => {
      const letter = [...'a😀cd'].find((c) => 1000 + first(c) === continuation[0]) as keyof typeof lls;
      return (context.length === 1 ? alone : lls)[letter];
    });
    const winners = await Promise.all(
      [0, 1, 2, 3].map((gold) => right(scoreItem(fake, item(texts, gold), metrics))),
    );
    const winner = (metric: string) => winners.findIndex((terms) => terms[metric] === 1);
    expect(metrics.map(winner)).toEqual([0, 1, 1, 3]);
  });

  test('the first of equal options wins', async () => {
    const tie = table({ a: -1, b: -1 });
    expect(await right(scoreItem(tie, item(['a', 'b'], 0), ['acc']))).toEqual({ acc: 1 });
    expect(await right(scoreItem(tie, item(['a', 'b'], 1), ['acc']))).toEqual({ acc: 0 });
  });

  test('mc2 is the share of the right options in the probability of all; acc takes any of them', async () => {
    const lls = { a: Math.log(0.2), b: Math.log(0.1), c: Math.log(0.06), d: Math.log(0.04) };
    const several = (...of: number[]) => ({ ...item(['a', 'b', 'c', 'd'], of[0]!), right: of });
    const of = (...indices: number[]) => right(scoreItem(table(lls), several(...indices), ['mc2', 'acc']));
    expect(await of(1, 2)).toEqual({ mc2: expect.closeTo(0.4, 12), acc: 0 });
    expect(await of(1, 0)).toEqual({ mc2: expect.closeTo(0.75, 12), acc: 1 });
    // Far from 0, where no probability could be written down.
    const far = Object.fromEntries(Object.entries(lls).map(([letter, l]) => [letter, l - 2000]));
    expect(await right(scoreItem(table(far), several(1, 2), ['mc2']))).toEqual({
      mc2: expect.closeTo(0.4, 9),
    });
    const one = item(['a', 'b', 'c', 'd'], 0);
    expect(await right(scoreItem(table(lls), one, ['mc2']))).toEqual({ mc2: expect.closeTo(0.5, 12) });
    const cut = { a: Number.NEGATIVE_INFINITY, b: Number.NEGATIVE_INFINITY };
    expect(await right(scoreItem(table(cut), item(['a', 'b'], 0), ['mc2']))).toEqual({ mc2: 0 });
  });

  test('bytes and code points part ways', async () => {
    const texts = ['éé', 'abc'];
    const lls: Record<string, number> = { é: -3, a: -3.6 };
    const scored = () => scoreItem(table(lls), item(texts, 0), ['acc_norm', 'acc_bytes']);
    expect(await right(scored())).toEqual({ acc_norm: 0, acc_bytes: 1 });
  });

  test('a number that is none makes the item unparsable, wrong, and visible', async () => {
    const scored = await scoreItem(table({ a: -1 }), item(['a', 'b'], 0), ['acc']);
    expect(scored).toMatchObject({ terms: { acc: [0, 1] }, logLikelihoods: [-1, null], unparsable: true });
    expect(scored).not.toHaveProperty('prediction');
  });
});

test('a continuation: acc is greedy equality, perplexity its own negative log-likelihood', async () => {
  const lambada = { id: 'x', at: 'x:1', output: 'loglikelihood', context: 'q', continuation: ' a' } as const;
  const scored = await scoreItem(
    model(() => -2, true),
    lambada,
    ['acc', 'perplexity'],
  );
  expect(scored.terms).toEqual({ acc: [1, 1], perplexity: [2, 1] });
  expect(known.perplexity.finish(2)).toBe(Math.exp(2));
  const nan = await scoreItem(
    model(() => Number.NaN, true),
    lambada,
    ['acc', 'perplexity'],
  );
  expect(nan).toMatchObject({ terms: { acc: [0, 1] }, unparsable: true, logLikelihoods: [null] });
  expect(nan.terms).not.toHaveProperty('perplexity');
});

describe('pairs', () => {
  const metrics = ['pair_acc', 'pair_acc_strict', 'consistency', 'first_rate'] as const;
  const order = (first: string, second: string, gold: number) => ({
    gold,
    options: ['1', '2'].map((text) => ({ context: `${first}|${second}`, continuation: ` ${text}`, text })),
  });
  /** "good" is the better of the two, shown first, then second. */
  const pair = {
    id: 'x',
    at: 'x:1',
    output: 'pairwise',
    orders: [order('good', 'bad', 0), order('bad', 'good', 1)],
  } as const;
  const judge = (prefers: (prompt: string) => number) =>
    scoreItem(
      model(({ context, continuation }) => {
        const prompt = String.fromCodePoint(...context.slice(1).map((id) => (id > 999 ? id - 1000 : id)));
        return Number(continuation[0] === 1000 + '12'.charCodeAt(prefers(prompt))) - 1;
      }),
      { ...pair, orders: [...pair.orders] },
      metrics,
    );
  const terms = async (prefers: (prompt: string) => number) => (await judge(prefers)).terms;

  test('a judge that sees the better answer', async () => {
    expect(await terms((prompt) => (prompt.startsWith('good') ? 0 : 1))).toEqual({
      pair_acc: [2, 2],
      pair_acc_strict: [1, 1],
      consistency: [1, 1],
      first_rate: [1, 2],
    });
  });

  test('one that always says the first is half right, never strictly, and not consistent', async () => {
    expect(await terms(() => 0)).toEqual({
      pair_acc: [1, 2],
      pair_acc_strict: [0, 1],
      consistency: [0, 1],
      first_rate: [2, 2],
    });
  });

  test('one that is consistently wrong', async () => {
    expect(await terms((prompt) => (prompt.startsWith('good') ? 1 : 0))).toMatchObject({
      pair_acc: [0, 2],
      consistency: [1, 1],
    });
  });

  test('numbers that are none are no verdict: wrong, and in no rate', async () => {
    const scored = await scoreItem(
      model(() => Number.NaN),
      { ...pair, orders: [...pair.orders] },
      metrics,
    );
    expect(scored.terms).toEqual({ pair_acc: [0, 2], pair_acc_strict: [0, 1], consistency: [0, 1] });
    expect(scored).toMatchObject({ unparsable: true, verdicts: [null, null] });
  });
});

describe('written answers', () => {
  const item: GenerationItem = {
    id: 'x',
    at: 'x:1',
    output: 'generate_until',
    context: 'q',
    until: ['.'],
    maxTokens: 9,
    answers: ['7', 'seven'],
    rule: { extract: '\\w+$', take: 'first', remove: [], ignore: ['case'] },
  };
  const score = (text: string, finite = true) =>
    scoreItem(
      {
        ...model(() => 0),
        generate: async (prompt, options) => {
          expect([prompt, options]).toEqual([encode('q'), { until: ['.'], maxTokens: 9 }]);
          return { text, tokens: 3, finite, truncated: false, cost: noCost };
        },
      },
      item,
      ['exact_match', 'contains', 'f1'],
    );

  test('any right answer is right, and the row keeps what was written', async () => {
    expect(await score('It is Seven')).toMatchObject({
      terms: { exact_match: [1, 1], contains: [1, 1], f1: [1, 1] },
      text: 'It is Seven',
      extracted: 'Seven',
      unparsable: false,
    });
    expect((await score('It is 17')).terms).toEqual({ exact_match: [0, 1], contains: [1, 1], f1: [0, 1] });
  });

  test('no match and no finite logits are unparsable: wrong, and counted', async () => {
    const wrong = { exact_match: [0, 1], contains: [0, 1], f1: [0, 1] };
    expect(await score('…')).toMatchObject({ terms: wrong, unparsable: true });
    expect(await score('seven', false)).toMatchObject({ terms: wrong, unparsable: true });
  });
});

describe('rolling windows', () => {
  // From lm_eval.utils 0.4.13: map(make_disjoint_window, get_rolling_token_windows(range(n), -7, length, 1)).
  test.each([
    [
      10,
      4,
      [
        [[-7], [0, 1, 2, 3]],
        [[3], [4, 5, 6, 7]],
        [
          [5, 6, 7],
          [8, 9],
        ],
      ],
    ],
    [
      8,
      4,
      [
        [[-7], [0, 1, 2, 3]],
        [[3], [4, 5, 6, 7]],
      ],
    ],
    [3, 4, [[[-7], [0, 1, 2]]]],
    [
      9,
      4,
      [
        [[-7], [0, 1, 2, 3]],
        [[3], [4, 5, 6, 7]],
        [[4, 5, 6, 7], [8]],
      ],
    ],
    [
      5,
      1,
      [
        [[-7], [0]],
        [[0], [1]],
        [[1], [2]],
        [[2], [3]],
        [[3], [4]],
      ],
    ],
    [
      13,
      5,
      [
        [[-7], [0, 1, 2, 3, 4]],
        [[4], [5, 6, 7, 8, 9]],
        [
          [7, 8, 9],
          [10, 11, 12],
        ],
      ],
    ],
  ])('%i tokens, length %i, as lm-evaluation-harness cuts them', (n, length, expected) => {
    const windows = rollingWindows([...Array(n).keys()], -7, length);
    expect(windows.map(({ context, continuation }) => [context, continuation])).toEqual(expected);
  });

  test('words are counted by splitting at space, bytes as UTF-8; bits_per_byte is in bits', async () => {
    const text = ' né go\n';
    const fake = model(({ continuation }) => -continuation.length);
    const nll = encode(text).length;
    const { terms } = await scoreItem(fake, { id: 'x', at: 'x:1', output: 'loglikelihood_rolling', text }, [
      'word_perplexity',
      'byte_perplexity',
      'bits_per_byte',
    ]);
    // Python: re.split(r'\s+', ' né go\n') has 4 pieces; 8 bytes
    expect(terms).toEqual({ word_perplexity: [nll, 4], byte_perplexity: [nll, 8], bits_per_byte: [nll, 8] });
    expect(known.bits_per_byte.finish(Math.LN2)).toBe(1);
  });
});
