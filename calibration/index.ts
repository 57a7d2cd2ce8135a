/** Calibration: what interventions need to know of a model, found on data and kept in profiles. */
export {
  type Calibrated,
  type CalibrateOptions,
  calibrate,
  type Estimate,
  type Method,
} from './calibrate.ts';
export { axisOf, type DirectionMethod, heldOutAccuracy, type VectorPair } from './directions/axis.ts';
export {
  type DirectionOptions,
  type FoundDirections,
  findDirections,
  type TokenPair,
} from './directions/find.ts';
export { readPairs, type TextPair } from './directions/pairs.ts';
export { differences, identify, type ModelIdentity } from './model-identity.ts';
export {
  applyProfile,
  checkProfile,
  type HeldOut,
  makeProfile,
  type Profile,
  readProfile,
} from './profile.ts';
export type { ActSearch } from './search/act.ts';
export { type SearchCost, searchCost } from './search/cost.ts';
export type { CalibrationItem, Objective } from './search/objective.ts';
export type { SearchResult, Trial } from './search/search.ts';
export { splitItems } from './search/split.ts';
export type { ZeroTuningSearch } from './search/zerotuning.ts';
export { findSinks, type PromptStreams, promptStreams, type SinkReport } from './sink-dimensions.ts';
export {
  type HeadData,
  type HeadStatisticsOptions,
  type HeadTable,
  headStatistics,
  STATISTICS,
  type StatisticGroup,
} from './statistics/head-statistics.ts';
export { isPunctuation } from './statistics/token-classes.ts';
export { openSweepJournal, type SweepJournal } from './sweep/journal.ts';
export type { Measurement } from './sweep/measure.ts';
export type { Request } from './sweep/passes.ts';
export { Sweep, type SweepItem, type SweepOptions, type SweepSetting } from './sweep/sweep.ts';
export { type VisionDivergence, visionDivergence } from './vision-divergence.ts';
