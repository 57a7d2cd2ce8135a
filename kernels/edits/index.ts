/**
 * All edits, in the order in which they act where several are in force at a site. A new edit is a file of this folder and
 * a line here.
 */
import { documents } from './documents.ts';
import { type Edit, type EditRow, STAGES } from './edit.ts';
import { headScale } from './head-scale.ts';
import { logWeights } from './log-weights.ts';
import { logitBias } from './logit-bias.ts';
import { logitGain } from './logit-gain.ts';
import { sinkCalibration } from './sink-calibration/index.ts';
import { sinkRedistribution } from './sink-redistribution/index.ts';
import { targetShare } from './target-share.ts';
import { temperature } from './temperature.ts';

/** All edits, in the order in which they act where several are in force at a site. */
export const EDITS: readonly EditRow[] = [
  documents,
  temperature,
  logitGain,
  logitBias,
  logWeights,
  sinkCalibration,
  sinkRedistribution,
  targetShare,
  headScale,
];

export {
  documents,
  headScale,
  logitBias,
  logitGain,
  logWeights,
  sinkCalibration,
  sinkRedistribution,
  targetShare,
  temperature,
};

/** A number that grows along the order in which edits act: by stage, then as listed; what is not listed comes last. */
export function placeOf({ row }: Edit): number {
  const listed = EDITS.indexOf(row);
  return STAGES.indexOf(row.stage) * (EDITS.length + 1) + (listed < 0 ? EDITS.length : listed);
}
