/** What greedy decoding would write of the options, and how much of the probability they have. */
import { expect, test } from 'vitest';
import { termsOf } from './index.ts';

const option = (text: string, context = 'q') => ({ context, continuation: ` ${text}`, text });
const NAMES = ['acc', 'acc_written', 'written_rate', 'choice_mass'] as const;

const terms = (greedy: boolean[] | undefined, changes: object = {}) =>
  termsOf(NAMES, {
    choices: {
      options: [option('yes'), option('no')],
      conditional: [Math.log(0.25), Math.log(0.5)],
      gold: 1,
      greedy,
      ...changes,
    },
  });

test('an item whose options would not be written is right by likelihood and wrong in writing', () => {
  const { choice_mass, ...shares } = terms([false, false]);
  expect(shares).toEqual({ acc: [1, 1], acc_written: [0, 1], written_rate: [0, 1] });
  expect(choice_mass![0]).toBeCloseTo(0.75, 12);
});

test('the right option written, the wrong one written, one of several right ones', () => {
  expect(terms([false, true]).acc_written).toEqual([1, 1]);
  expect(terms([true, false])).toMatchObject({ acc_written: [0, 1], written_rate: [1, 1] });
  expect(terms([true, false], { right: [0, 1] }).acc_written).toEqual([1, 1]);
});

test('where nobody asked what would be written, and where each option has a prompt of its own, nothing is added', () => {
  expect(Object.keys(terms(undefined))).toEqual(['acc', 'choice_mass']);
  expect(
    terms([true, false], { options: [option('yes', 'a'), option('no', 'b')] }).choice_mass,
  ).toBeUndefined();
});
