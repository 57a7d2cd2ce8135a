import { describe, expect, test } from 'vitest';
import { act } from './act.ts';
import { definedKinds, interventionFromJSON } from './index.ts';
import { parameterLines, parametersOf } from './parameters.ts';
import { zeroTuning } from './zerotuning.ts';

describe('what a schema refuses says what to give', () => {
  test.each<[Record<string, unknown>, RegExp]>([
    [
      { intervention: 'zerotuning', gamma: '1.4' },
      /at zerotuning\.gamma: found the text "1\.4" but expected a number > 0 or a list of .*γ > 0: one number/,
    ],
    [{ intervention: 'zerotuning' }, /at zerotuning\.gamma: found nothing but expected a number > 0/],
    [{ intervention: 'zerotuning', gama: 2, gamma: 1 }, /parameter "gama".*Did you mean gamma\?/],
    [
      { intervention: 'zerotuning', gamma: 1, tokens: [3, 1] },
      /zerotuning\.tokens: found \[3,1\] \(start must be before end\)/,
    ],
    [{ intervention: 'act' }, /SPEC_INVALID: at act.*attune interventions act/],
  ])('%o', (specification, message) => {
    expect(() => interventionFromJSON(specification)).toThrow(message);
  });

  test('something that is no object of parameters', () => {
    expect(() => zeroTuning(1.4 as never)).toThrow(
      /at zerotuning: found the number 1\.4 but expected an object of parameters: \{ gamma, …/,
    );
    expect(() => zeroTuning(undefined as never)).toThrow(/found nothing but expected an object/);
  });
});

test('every kind lists its parameters, those without default as required', () => {
  const kinds = [...definedKinds().values()];
  expect(kinds.length).toBeGreaterThan(8);
  for (const { schema, kind } of kinds)
    expect(parameterLines(schema).join('\n'), kind.name).not.toContain('undefined');
  const [gamma, layers] = parametersOf(zeroTuning.schema);
  expect(gamma).toMatchObject({ name: 'gamma', required: true });
  expect(layers).toMatchObject({ name: 'layers', required: false, default: 'all' });
  expect(parametersOf(act.schema).length).toBeGreaterThan(2);
  expect(gamma?.schema.anyOf?.map(({ type }) => type)).toEqual(['number', 'array', 'array']);
});
