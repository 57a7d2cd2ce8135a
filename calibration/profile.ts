/**
 * A profile: interventions that were chosen for one model, tied to it by an identity, with what chose them (data, seeds,
 * search, held-out estimate). Its hash is over all of that, so a number edited afterwards shows.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { AttunedModel, Intervention, ModelFacts } from '../hooks/model/index.ts';
import { canonicalJson, interventionFromJSON } from '../interventions/index.ts';
import { nodeModule } from '../onnx/index.ts';
import { sha256 } from '../onnx/sha256.ts';
import { differences, identify, identitySchema } from './model-identity.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const estimate = z.looseObject({
  value: z.number(),
  low: z.number().nullable(),
  high: z.number().nullable(),
});

/** Measured on items that the search has not seen. */
/** Profiles of older versions call the baseline "untouched". */
function renamed(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || !('untouched' in value)) return value;
  const { untouched: baseline, ...rest } = value;
  return { baseline, ...rest };
}

const heldOutFields = z.object({
  samples: z.int().nonnegative(),
  metric: z.string().optional(),
  /** 95 % intervals; absent where no item has a right answer. */
  baseline: estimate.optional(),
  calibrated: estimate.optional(),
  /** Paired, with its p. */
  delta: estimate.extend({ p: z.number().nullable() }).optional(),
  /** Whether the difference is known too badly to say anything: its interval reaches ten points or more to a side. */
  tooSmall: z.boolean().optional(),
  /** Mean entropy of the next token after the prompts, in nats. */
  entropy: z.preprocess(renamed, z.object({ baseline: z.number(), calibrated: z.number() })),
});
export const heldOutSchema = z.preprocess(renamed, heldOutFields);
/** What was measured on items that the search has not seen. */
export type HeldOut = z.output<typeof heldOutSchema>;

export const profileSchema = z.looseObject({
  attune: z.literal('profile').describe('marks the file'),
  version: z.literal(1),
  /** SHA-256 of the canonical JSON of everything else. */
  hash: digest.optional(),
  /** SHA-256 of the graph (model.attune.fingerprint()). */
  fingerprint: digest,
  identity: identitySchema.optional(),
  /** The model as its maker named it, for messages. */
  model: z.string().optional(),
  interventions: z.array(z.looseObject({ intervention: z.string() })).min(1),
  data: z
    .array(z.object({ task: z.string(), file: z.string(), sha256: digest, split: z.string().optional() }))
    .optional(),
  seed: z.int().optional(),
  search: z
    .looseObject({
      method: z.string(),
      objective: z.enum(['accuracy', 'entropy']),
      samples: z.int().positive(),
      /** Settings measured, the baseline apart. */
      settings: z.int().nonnegative(),
      /** Every setting with what it scored, in the order of the search. */
      trace: z.array(z.looseObject({ step: z.string() })),
    })
    .optional(),
  heldOut: heldOutSchema.optional(),
  software: z.record(z.string(), z.string()).optional(),
});

/**
 * Interventions chosen for one model, tied to it by an identity, with what chose them: data, seed, search, held-out
 * estimate. `attune calibrate` writes it as JSON; attune(…, { profile }) puts it in force.
 */
export type Profile = z.output<typeof profileSchema>;

/**
 * The profile of a model and its interventions as data; `attune(…, { profile })` takes it, or the path of a file that holds it as JSON.
 *
 * @example
 * ```ts
 * const profile = await makeProfile(model, [zeroTuning({ gamma: 1.4, heads: [[2, 1]] })], { note: 'by hand' });
 * console.log(JSON.stringify(profile).length);
 * ```
 * @param model a model of attune, or what is known of one
 * @param details further fields: data, seed, search, heldOut, and whatever else should be remembered
 */
export async function makeProfile(
  model: { readonly attune: { readonly facts: ModelFacts } },
  interventions: readonly Intervention[],
  details: Readonly<Record<string, unknown>> = {},
): Promise<Profile> {
  const identity = await identify(model.attune.facts);
  const profile = profileSchema.parse({
    ...details,
    attune: 'profile',
    version: 1,
    fingerprint: identity.graph,
    identity,
    interventions: interventions.map((one) => one.toJSON()),
  });
  return { ...profile, hash: hashOf(profile) };
}

/** Over the JSON, so that a profile and its file agree (undefined entries are not in a file). */
function hashOf({ hash: _, ...content }: Profile): string {
  return sha256(canonicalJson(JSON.parse(JSON.stringify(content))));
}

/**
 * A profile, checked: from its file or from its content.
 *
 * @example const profile = await readProfile('copa.profile.json');
 *
 * @param from a profile, or the path of its JSON file (Node)
 * @throws AttuneError PROFILE_INVALID naming the file and the field, PROFILE_CHANGED
 */
export async function readProfile(from: string | unknown): Promise<Profile> {
  const at = typeof from === 'string' ? from : 'profile';
  let json = from;
  if (typeof from === 'string') {
    const { readFile } = nodeModule('node:fs/promises');
    try {
      json = JSON.parse(await readFile(from, 'utf8'));
    } catch (cause) {
      throw new AttuneError('PROFILE_INVALID', {
        at,
        found: (cause as Error).message,
        expected: 'the JSON file of a profile',
        hint: 'attune calibrate writes one where its --out says; a path starts where the process does.',
        cause,
      });
    }
  }
  const parsed = profileSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new AttuneError('PROFILE_INVALID', {
      at: [at, ...(issue?.path ?? [])].join('.'),
      found: issue?.message,
      expected: 'a profile made by attune',
    });
  }
  const profile = parsed.data;
  if (profile.hash === undefined) return profile;
  // Of what was written, not of what is read: names of older versions count as they stand.
  const found = hashOf(json as Profile);
  if (profile.hash !== found) {
    throw new AttuneError('PROFILE_CHANGED', {
      at,
      found: `content with hash ${found.slice(0, 12)}…`,
      expected: `${profile.hash.slice(0, 12)}…, as calibration left it`,
      hint: 'Calibrate again, or take the "hash" field out to vouch for the changes yourself.',
    });
  }
  return { ...profile, hash: hashOf(profile) };
}

/**
 * Whether a profile belongs to a model.
 *
 * @example await checkProfile(model, profile);
 *
 * @throws AttuneError PROFILE_OF_ANOTHER_MODEL naming what differs
 */
export async function checkProfile(model: Pick<AttunedModel, 'attune'>, profile: Profile): Promise<void> {
  const { facts } = model.attune;
  const found = profile.identity ? await identify(facts) : { graph: await model.attune.fingerprint() };
  const expected = profile.identity ?? { graph: profile.fingerprint };
  const different =
    'layers' in found && 'layers' in expected
      ? differences(found, expected)
      : found.graph === expected.graph
        ? []
        : ['another graph'];
  if (different.length === 0) return;
  throw new AttuneError('PROFILE_OF_ANOTHER_MODEL', {
    at: facts.file.source.name,
    found: `${different.join(', ')} (graph ${found.graph.slice(0, 12)}…)`,
    expected: `the model of the profile${profile.model ? `, ${profile.model}` : ''} (graph ${profile.fingerprint.slice(0, 12)}…)`,
    hint: 'Heads and strengths chosen for one model mean nothing in another; calibrate this one.',
  });
}

/**
 * Put a profile's interventions in force.
 * @throws AttuneError PROFILE_OF_ANOTHER_MODEL, and those of the interventions
 */
export async function applyProfile(
  model: Pick<AttunedModel, 'attune' | 'use'>,
  profile: Profile,
): Promise<void> {
  await checkProfile(model, profile);
  model.use(profile.interventions.map(interventionFromJSON));
}
