/** One way of running a model: the interventions in force, and what they are called in tables. */

import type { EvalIntervention } from '../models/needs.ts';
import { contentHash } from './content-hash.ts';

export interface Setting {
  /** Different for each setting of a run. */
  label: string;
  interventions: readonly EvalIntervention[];
  specHash: string;
}

export const BASELINE = 'baseline';

/** The first setting of every run: what the others are compared with. */
export const baseline: Setting = { label: BASELINE, interventions: [], specHash: contentHash([]) };

/** @param interventions all in force at once. */
export function settingOf(label: string, interventions: readonly EvalIntervention[]): Setting {
  return { label, interventions, specHash: contentHash(interventions.map(({ hash }) => hash)) };
}
