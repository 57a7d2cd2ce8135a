/** Extraction, normalisation and comparison of written answers. */
import { describe, expect, test } from 'vitest';
import { type AnswerRule, extractAnswer, normaliseAnswer, wordF1 } from './answer.ts';

const rule = (changes: Partial<AnswerRule> = {}): AnswerRule => ({
  take: 'first',
  remove: [],
  ignore: ['space'],
  ...changes,
});
const squad = rule({ ignore: ['case', 'punctuation', 'articles', 'space'] });

describe('extraction', () => {
  // The harness's flexible-extract for GSM8K.
  const number = '(-?[$0-9.,]{2,})|(-?[0-9]+)';

  test.each([
    ['first', 'She pays $1,200 and 3 more.', '$1,200'],
    ['last', 'She pays $1,200 and 3 more', '3'],
    ['last', 'no number at all', undefined],
  ] as const)('the %s number of %j', (take, text, found) => {
    expect(extractAnswer(text, rule({ extract: number, take }))).toBe(found);
  });

  test('the first group that took part, else the whole match; without a rule everything', () => {
    expect(extractAnswer('answer: (B) or (C)', rule({ extract: '\\(([A-F])\\)' }))).toBe('B');
    expect(extractAnswer('answer: (B) or (C)', rule({ extract: '\\([A-F]\\)' }))).toBe('(B)');
    expect(extractAnswer(' anything ', rule())).toBe(' anything ');
  });
});

test.each([
  ['  The  cat, the\tCAT! ', squad, 'cat cat'],
  ['An U.S. theatre', squad, 'us theatre'],
  ['  The  cat, ', rule(), 'The cat,'],
  ['$1,200.', rule({ remove: [',', '\\$', '\\.$'] }), '1200'],
  [' a ', rule({ ignore: [] }), ' a '],
])('%j', (text, how, normal) => {
  expect(normaliseAnswer(text, how)).toBe(normal);
});

// By hand, with the definition of SQuAD 1.1: shared words counted as often as both have them.
test.each([
  ['denver broncos', 'denver broncos', 1],
  ['broncos', 'denver broncos', 2 / 3],
  ['a a b', 'a b b', 4 / 6],
  ['', 'x', 0],
  ['y', 'x', 0],
])('f1 of %j and %j', (answer, right, f1) => {
  expect(wordF1(answer, right)).toBeCloseTo(f1, 12);
});
