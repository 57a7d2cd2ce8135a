import { describe, expect, test } from 'vitest';
import { interventionFromJSON, interventionNamed, zeroTuning } from './index.ts';

describe('a specification', () => {
  test('survives JSON with its hash, defaults included', () => {
    const made = zeroTuning({ gamma: 1.4 });
    const back = interventionFromJSON(JSON.parse(JSON.stringify(made)));
    expect(back.toJSON()).toEqual(made.toJSON());
    expect(back.hash).toBe(made.hash);
    expect(made.toJSON()).toMatchObject({
      intervention: 'zerotuning',
      gamma: 1.4,
      layers: 'all',
      heads: 'all',
    });
  });

  test('differs in its hash when it differs in a parameter, not in the order of keys', () => {
    const a = interventionFromJSON({ intervention: 'zerotuning', gamma: 2, layers: [0] });
    const b = interventionFromJSON({ layers: [0], gamma: 2, intervention: 'zerotuning' });
    expect(a.hash).toBe(b.hash);
    expect(zeroTuning({ gamma: 2, layers: [1] }).hash).not.toBe(a.hash);
  });

  test('cannot be changed', () => {
    const made = zeroTuning({ gamma: [1, 2] });
    expect(() => {
      (made.spec.gamma as number[])[0] = 9;
    }).toThrow(TypeError);
  });

  test.each([
    [{ intervention: 'zerotunin', gamma: 1 }, /INTERVENTION_UNKNOWN.*zerotuning/],
    [{ gamma: 1 }, /SPEC_INVALID.*"intervention"/],
    [{ intervention: 'zerotuning' }, /SPEC_INVALID.*zerotuning\.gamma/],
    [{ intervention: 'zerotuning', gamma: 1, gama: 2 }, /SPEC_INVALID.*gama/],
    [{ intervention: 'zerotuning', gamma: [1, 0] }, /SPEC_INVALID/],
    [null, /SPEC_INVALID/],
  ])('%j is refused by name', (json, message) => {
    expect(() => interventionFromJSON(json)).toThrow(message);
  });

  test('names its kind, needs and source', () => {
    const { kind, reference } = interventionNamed('zerotuning');
    expect(kind).toMatchObject({ name: 'zerotuning', stage: 'logits' });
    expect(reference).toMatch(/2505\.11739/);
  });
});
