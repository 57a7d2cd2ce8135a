/**
 * All edits, in the order in which they act where several are in force at a site. A new edit is a file of this folder and
 * a line here.
 */
import { documents } from './documents.ts';
import type { EditRow } from './edit.ts';
import { headScale } from './head-scale.ts';
import { logWeights } from './log-weights.ts';
import { logitBias } from './logit-bias.ts';
import { logitGain } from './logit-gain.ts';
import { sinkCalibration } from './sink-calibration/index.ts';
import { sinkRedistribution } from './sink-redistribution.ts';
import { temperature } from './temperature.ts';

export const EDITS: readonly EditRow[] = [
  documents,
  temperature,
  logitGain,
  logitBias,
  logWeights,
  sinkCalibration,
  sinkRedistribution,
  headScale,
];
