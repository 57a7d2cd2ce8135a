/** The specification of a cache: score, budget, granularity, positions, schedule. */
import { z } from 'zod';
import { SCORE_NAMES, type ScoreName, scoreNamed } from './scores/index.ts';

/** By its name, with its parameters. */
export interface ScoreGiven {
  readonly by: ScoreName;
  /** Of 'snapkv': newest tokens whose attention counts, default 32. */
  readonly window?: number | undefined;
  /** Of 'snapkv': keys that are averaged around each, an odd number, default 5. */
  readonly pool?: number | undefined;
  /** Of 'random': default 0. */
  readonly seed?: number | undefined;
}

/** A score's name alone, or with parameters: { by: 'random', seed: 1 }. Parsed to the latter. */
const score = z.union([
  z.enum(SCORE_NAMES).transform((by) => parametersOf(by).parse({ by })),
  ...SCORE_NAMES.map(parametersOf),
]);

function parametersOf(by: ScoreName) {
  const one = z.strictObject({ by: z.literal(by), ...scoreNamed(by).parameters });
  return one as unknown as z.ZodType<ScoreGiven, ScoreGiven>;
}

const count = z.int().nonnegative();

export const schema = z
  .strictObject({
    score: score.default({ by: 'window' }).describe('what decides which keys stay; default window'),
    budget: z
      .union([z.int().positive(), z.strictObject({ share: z.number().positive().lt(1) })])
      .describe('keys of a layer that stay: a number, or { share } of the tokens so far'),
    sinks: count.default(4).describe('first tokens of a sequence, which always stay'),
    recent: count
      .optional()
      .describe("newest tokens, which always stay; default 16, for 'window' all but the sinks"),
    granularity: z
      .enum(['model', 'layer', 'head'])
      .optional()
      .describe('who has one choice: the whole model, each layer, or each kv head; default by score'),
    positions: z
      .enum(['slots', 'true'])
      .optional()
      .describe(
        "'slots': kept keys are numbered anew, so that a sequence may go on for ever; 'true': they stay where they were; default by score",
      ),
    every: z
      .int()
      .positive()
      .default(32)
      .describe('keys beyond the budget before some go: what goes is copied over once for as many tokens'),
    when: z
      .enum(['after', 'before'])
      .default('after')
      .describe('keys go after a call, or before one that would exceed the budget'),
    hold: z
      .enum(['evict', 'mask'])
      .default('evict')
      .describe("'mask': nothing goes, what would have gone is hidden; a check that gives the same tokens"),
  })
  .superRefine(({ budget, sinks, recent, score: { by }, every, when }, context) => {
    const issue = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    const always = sinks + (recent ?? (by === 'window' ? 0 : RECENT));
    if (typeof budget === 'number' && budget <= always) {
      issue('budget', `${always} always stay (sinks and recent), so that it has to be more`);
    }
    if (when === 'before' && every !== 1) {
      issue('every', "when: 'before' makes room for the call at hand: give every: 1");
    }
  })
  .transform((given) => {
    const { granularity, positions } = scoreNamed(given.score.by);
    const recent = given.score.by === 'window' ? 0 : RECENT;
    return {
      ...given,
      recent: given.recent ?? recent,
      granularity: given.granularity ?? granularity,
      positions: given.positions ?? positions,
    };
  });

/** Newest tokens that stay under a score that does not look at age. */
const RECENT = 16;

export type KeepCacheSpec = z.output<typeof schema>;
