/** The settings of a run: the baseline, and what is compared with it. */
import { basename } from 'node:path';
import type { Profile } from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import { asInterventions } from '../../hooks/model/index.ts';
import { canonicalJson } from '../../interventions/index.ts';
import type { EvalIntervention } from '../models/needs.ts';
import { baseline, type Setting, settingOf } from '../runner/setting.ts';
import type { EvaluateOptions, GivenIntervention } from './options.ts';

export type ReadIntervention = (
  json: Record<string, unknown>,
) => EvalIntervention | Promise<EvalIntervention>;

export interface Settings {
  settings: readonly Setting[];
  /** Whose interventions are among the settings; only for the models they were made for. */
  profiles: readonly Profile[];
}

/** @throws AttuneError INTERVENTIONS_EXPECTED, PROFILE_*, ARGUMENT_INVALID for one setting twice, and those of `readIntervention` */
export async function settingsOf(
  { interventions = [], profiles: given = [] }: Pick<EvaluateOptions, 'interventions' | 'profiles'>,
  readIntervention: ReadIntervention,
): Promise<Settings> {
  const entries = await Promise.all(
    interventions.map((entry) => Promise.all([entry].flat().map((one) => read(one, readIntervention)))),
  );
  const names = entries.map((entry) => entry.map(nameOf).join(' + '));
  const settings = entries.map((entry, i) => {
    const others = entries.filter((_, j) => j !== i && names[j] === names[i]);
    if (others.length === 0) return settingOf(names[i]!, entry);
    const given = [interventions[i]!].flat() as GivenIntervention[];
    const parts = given.map((one, k) =>
      described(
        one,
        entry[k]!,
        others.map((other) => other[k]!),
      ),
    );
    return settingOf(parts.join(' + '), entry);
  });
  const profiles: Profile[] = [];
  for (const one of given) {
    const { readProfile } = await import('../../calibration/index.ts');
    const profile = await readProfile(one);
    const own = await Promise.all(profile.interventions.map(readIntervention));
    const label =
      typeof one === 'string'
        ? basename(one).replace(/(\.profile)?\.json$/, '')
        : `profile of ${own.map(nameOf).join(' + ')}`;
    settings.push(settingOf(label, own));
    profiles.push(profile);
  }
  refuseRepeated(settings, profiles.length > 0 ? '--profile' : '--intervention');
  return { settings: [baseline, ...settings], profiles };
}

/** What is one already stays it; JSON is read. */
async function read(one: GivenIntervention, readIntervention: ReadIntervention): Promise<EvalIntervention> {
  if (!isSpecification(one)) {
    const { intervention } = (one ?? {}) as { intervention?: unknown };
    // Which says what to write instead.
    if (typeof one !== 'object' || typeof intervention !== 'string') return asInterventions([one])[0]!;
    return readIntervention(one as Record<string, unknown>);
  }
  const { hash, toJSON, needs, kind } = one as EvalIntervention & { kind?: EvalIntervention };
  const needed = needs ?? kind?.needs;
  return { hash, toJSON, ...(needed && { needs: needed }) };
}

const nameOf = (one: EvalIntervention): string => String(one.toJSON().intervention);

/** With its parameters as they were given; of a specification, those in which the others of its name differ. */
function described(
  given: GivenIntervention,
  one: EvalIntervention,
  others: readonly EvalIntervention[],
): string {
  const { intervention, ...own } = isSpecification(given) ? one.toJSON() : given;
  const differs = (name: string) =>
    others.some((other) => canonicalJson(other.toJSON()[name]) !== canonicalJson(own[name]));
  const shown = isSpecification(given)
    ? Object.fromEntries(Object.entries(own).filter(([name]) => differs(name)))
    : own;
  return `${intervention} ${JSON.stringify(shown)}`;
}

const isSpecification = (one: GivenIntervention): one is EvalIntervention =>
  typeof (one as EvalIntervention | null)?.hash === 'string';

function refuseRepeated(settings: readonly Setting[], at: string): void {
  const hashes = settings.map(({ specHash }) => specHash);
  const repeated = settings.find(({ specHash }, i) => hashes.indexOf(specHash) !== i);
  if (!repeated) return;
  throw new AttuneError('ARGUMENT_INVALID', {
    at,
    found: `${repeated.label} twice`,
    expected: 'different interventions or parameters',
  });
}
