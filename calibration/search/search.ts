/** What searches have in common: how they ask for measurements, and what they leave behind. */
import type { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import type { Intervention, ModelFacts } from '../../hooks/model/index.ts';
import type { SweepSetting } from '../sweep/sweep.ts';
import type { Raced } from './halving.ts';
import type { Objective, Value } from './objective.ts';

/** Values of settings on the items of the search, in the order of the settings. */
export type Evaluate = (settings: readonly SweepSetting[], step: string) => Promise<Value[]>;

export interface SearchContext {
  readonly facts: ModelFacts;
  readonly evaluate: Evaluate;
  /** Settings against the baseline, halved so often; the items are those of the search, in an order of chance. */
  readonly race: (settings: readonly SweepSetting[], halvings: number, step: string) => Promise<Raced[]>;
}

/** One setting that was measured. */
export interface Trial {
  /** The step of the search it was measured in. */
  readonly step: string;
  /** Mean over data sets of the mean score, 0 to 1. */
  readonly accuracy: Value['accuracy'];
  /** null where the setting was raced: on other items, by margins. */
  readonly entropy: number | null;
  /** Parameters that differ from the search's own; absent for the baseline. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** What the step adds, such as a margin. */
  readonly [detail: string]: unknown;
}

/** What a search found, and every setting it measured. */
export interface SearchResult {
  /** Name of the kind of intervention. */
  readonly method: string;
  /** What was looked for. */
  readonly objective: Objective;
  /** Options of the search, with defaults filled in. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The best setting. */
  readonly intervention: Intervention;
  /** false where nothing was better than the baseline; `intervention` is neutral then. */
  readonly found: boolean;
  /** Settings in the order they were measured. */
  readonly trace: readonly Trial[];
}

/** Options with defaults filled in. @throws AttuneError SPEC_INVALID naming the option */
export function searchOptions<S extends z.ZodType>(
  method: string,
  schema: S,
  given: z.input<S>,
): z.output<S> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AttuneError('SPEC_INVALID', {
    at: [`search for ${method}`, ...(issue?.path ?? [])].join('.'),
    found: issue?.message,
    hint: 'docs/calibration.md lists the options.',
    cause: parsed.error,
  });
}

/** @throws AttuneError LAYER_OUT_OF_RANGE */
export function layersOf(layers: 'all' | readonly number[], { decoder }: ModelFacts): number[] {
  if (layers === 'all') return decoder.map((_, layer) => layer);
  const outside = layers.find((layer) => layer >= decoder.length);
  if (outside === undefined) return [...new Set(layers)].sort((a, b) => a - b);
  throw new AttuneError('LAYER_OUT_OF_RANGE', {
    found: `layer ${outside}`,
    expected: `0 to ${decoder.length - 1}, counted from 0`,
  });
}
