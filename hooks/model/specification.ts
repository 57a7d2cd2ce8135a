/**
 * What may stand where interventions are expected: interventions, and their JSON form. Kinds register under their names as they
 * are defined, so that JSON can be read on this floor.
 */
import { AttuneError, nearest } from '../../errors.ts';
import type { Intervention } from './intervention.ts';
import { kindOf } from './kind-of.ts';

type Make = (parameters: Readonly<Record<string, unknown>>) => Intervention;

const makers = new Map<string, Make>();

/** Give a kind its name in JSON. */
export function registerKind(name: string, make: Make): void {
  makers.set(name, make);
}

/** @throws AttuneError INTERVENTION_UNKNOWN with the nearest names */
export function makerOf(name: string): Make {
  const make = makers.get(name);
  if (make) return make;
  throw new AttuneError('INTERVENTION_UNKNOWN', {
    found: `intervention "${name}"`,
    expected: [...makers.keys()].join(', '),
    hint: `Nearest: ${nearest(name, makers.keys(), 1)[0] ?? 'none'}.`,
  });
}

/**
 * A list of interventions, those given as JSON made into ones.
 * @throws AttuneError INTERVENTIONS_EXPECTED saying what to write, INTERVENTION_UNKNOWN, SPEC_INVALID
 */
export function asInterventions(given: unknown): readonly Intervention[] {
  if (Array.isArray(given)) return given.map((one, i) => asIntervention(one, `number ${i} of the list`));
  throw expected(kindOf(given), hintFor(given, 'list'));
}

function asIntervention(one: unknown, at: string): Intervention {
  if (isIntervention(one)) return one;
  const { intervention, ...parameters } = (one ?? {}) as Record<string, unknown>;
  if (typeof one === 'object' && typeof intervention === 'string') return makerOf(intervention)(parameters);
  throw expected(`${kindOf(one)} as ${at}`, hintFor(one, 'item'));
}

const isIntervention = (one: unknown): one is Intervention =>
  typeof (one as Intervention | null)?.kind?.plan === 'function' && typeof one !== 'function';

const expected = (found: string, hint: string) =>
  new AttuneError('INTERVENTIONS_EXPECTED', {
    found,
    expected: 'a list of interventions, such as [zeroTuning({ gamma: 1.4 })]; [] for the untouched model',
    hint,
  });

function hintFor(value: unknown, place: 'list' | 'item'): string {
  if (place === 'list' && isIntervention(value)) return 'Put it in brackets: [ … ].';
  if (typeof value === 'function') return 'Call it with its parameters: [zeroTuning({ gamma: 1.4 })].';
  if (typeof value === 'string') {
    const [name] = makers.has(value) ? [value] : nearest(value, makers.keys(), 1);
    return name === undefined || value.trimStart().startsWith('{')
      ? 'Parse the text first: [JSON.parse(text)].'
      : `Write its JSON form with its parameters: [{ intervention: '${name}', … }].`;
  }
  return "An intervention is what its function returns, or its JSON form: { intervention: 'zerotuning', gamma: 1.4 }.";
}
