/**
 * A profile: interventions that were chosen for one model, with the fingerprint that ties them to it. What calibration
 * adds about data, seeds and search is carried along unread.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { AttunedModel, Intervention } from '../hooks/model/index.ts';
import { interventionFromJSON } from './define.ts';

export const profileSchema = z.looseObject({
  attune: z.literal('profile').describe('marks the file'),
  version: z.literal(1),
  /** SHA-256 of the graph (model.attune.fingerprint()). */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  /** The model as its maker named it, for messages. */
  model: z.string().optional(),
  interventions: z.array(z.looseObject({ intervention: z.string() })).min(1),
});

export type Profile = z.output<typeof profileSchema>;

/** The profile of a model and its interventions as data. */
export async function makeProfile(
  model: Pick<AttunedModel, 'attune'>,
  interventions: readonly Intervention[],
  details: Readonly<Record<string, unknown>> = {},
): Promise<Profile> {
  return profileSchema.parse({
    ...details,
    attune: 'profile',
    version: 1,
    fingerprint: await model.attune.fingerprint(),
    interventions: interventions.map((one) => one.toJSON()),
  });
}

/**
 * @param from a profile, or the path of its JSON file (Node)
 * @throws AttuneError PROFILE_INVALID naming the file and the field
 */
export async function readProfile(from: string | unknown): Promise<Profile> {
  const at = typeof from === 'string' ? from : 'profile';
  let json = from;
  if (typeof from === 'string') {
    const { readFile } = await import('node:fs/promises');
    try {
      json = JSON.parse(await readFile(from, 'utf8'));
    } catch (cause) {
      throw new AttuneError('PROFILE_INVALID', {
        at,
        found: (cause as Error).message,
        expected: 'a JSON file',
        cause,
      });
    }
  }
  const parsed = profileSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AttuneError('PROFILE_INVALID', {
    at: [at, ...(issue?.path ?? [])].join('.'),
    found: issue?.message,
    expected: 'a profile made by attune',
  });
}

/**
 * Put a profile's interventions in force.
 * @throws AttuneError PROFILE_OF_ANOTHER_MODEL with both fingerprints
 */
export async function applyProfile(
  model: Pick<AttunedModel, 'attune' | 'use'>,
  profile: Profile,
): Promise<void> {
  const fingerprint = await model.attune.fingerprint();
  if (fingerprint !== profile.fingerprint) {
    throw new AttuneError('PROFILE_OF_ANOTHER_MODEL', {
      at: model.attune.facts.file.source.name,
      found: `a graph with fingerprint ${fingerprint.slice(0, 12)}…`,
      expected: `${profile.fingerprint.slice(0, 12)}…${profile.model ? ` (${profile.model})` : ''}`,
      hint: 'Heads and strengths chosen for one export mean nothing in another; calibrate this one.',
    });
  }
  model.use(profile.interventions.map(interventionFromJSON));
}
