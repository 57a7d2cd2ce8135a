/** Gates: what they say, what they look at, and that none passes unseen. */
import { describe, expect, test } from 'vitest';
import { tangoInterval } from '../statistics/tango.ts';
import { wilsonInterval } from '../statistics/wilson.ts';
import { forty, rowsOf } from '../testing/rows.ts';
import { checkGate, parseGate } from './gate.ts';

const options = { seed: 0, resamples: 500 };
const check = (text: string, set = rowsOf(forty)) => checkGate(parseGate(text), [set], options);
const found = (text: string) => check(text).checks.map((one) => one.found);

test('a gate on a value holds for every run: 20, 29 and 22 of 40', () => {
  expect(check('acc>=0.5')).toMatchObject({ pass: true });
  expect(check('acc>=0.51')).toMatchObject({ pass: false });
  expect(check('acc >= 0.51').checks.map(({ intervention, pass }) => [intervention, pass])).toEqual([
    ['baseline', false],
    ['one', true],
    ['two', true],
  ]);
  expect(check('t/one: acc>0.72')).toMatchObject({
    pass: true,
    checks: [{ intervention: 'one', found: 29 / 40 }],
  });
  expect(check('t/one:acc<.725').pass).toBe(false);
  expect(check('t/one:acc<=.725').pass).toBe(true);
});

test('a gate on a difference holds for every intervention', () => {
  expect(found('delta.acc>=0')).toEqual([9 / 40, 2 / 40]);
  expect(check('delta.acc>=0').pass).toBe(true);
});

test('with a confidence the one-sided limit is compared: the end of the two-sided interval of twice the error', () => {
  expect(found('acc>=0@p95')[0]).toBe(wilsonInterval(20, 40, 0.9).low);
  expect(found('acc<=1@p97.5')[0]).toBeCloseTo(wilsonInterval(20, 40, 0.95).high, 12);
  expect(found('delta.acc>=0@p95')).toEqual([
    tangoInterval({ gained: 10, lost: 1 }, 40, 0.9).low,
    tangoInterval({ gained: 2, lost: 0 }, 40, 0.9).low,
  ]);
  // No item changed: no difference, but 40 items do not show that it is above −0.01.
  const same = rowsOf(forty.map(([first]) => [first!, first!]));
  expect(check('delta.acc>=-0.01', same).pass).toBe(true);
  expect(check('delta.acc>=-0.01@p95', same).pass).toBe(false);
});

test('a single unit has no limit and does not pass', () => {
  const set = rowsOf([[{ word_perplexity: [20, 10] }]], {}, ['word_perplexity'], 'loglikelihood_rolling');
  expect(check('word_perplexity<=100', set).pass).toBe(true);
  expect(check('word_perplexity<=100@p95', set)).toMatchObject({ pass: false, checks: [{ found: null }] });
});

describe('refused', () => {
  test.each([
    'acc',
    'acc>=',
    'acc=>0.5',
    'acc>=0,5',
    'delta.t:acc>=0>1',
    'acc>=0.5@95',
    'acc>=0.5@p50',
    'acc>=0.5@p100',
  ])('%s is no gate', (text) => {
    expect(() => parseGate(text)).toThrow(expect.objectContaining({ code: 'GATE_INVALID' }));
  });

  test('an unknown metric names the nearest', () => {
    expect(() => parseGate('accc>=1')).toThrow(
      expect.objectContaining({ code: 'GATE_INVALID', hint: expect.stringContaining('acc') }),
    );
  });

  test.each(['acc_norm>=0', 'u:acc>=0', 't/three:acc>=0', 't/baseline:delta.acc>=0'])(
    '%s speaks of nothing here',
    (text) => {
      expect(() => check(text)).toThrow(expect.objectContaining({ code: 'GATE_UNMATCHED' }));
    },
  );
});
