/** Decoding interventions: second streams and searches on top of transformers.js generation. */
export { type BeamRequest, beamRequest } from './beam-options.ts';
export { BeamRows, type RowResult, sequencesOf } from './beam-rows.ts';
export { type Cache, newestToken, rebuild, type TokenSlice } from './cache.ts';
export { ContrastStreams, type Forward } from './contrast.ts';
export type {
  Contrast,
  ContrastContext,
  Decoding,
  ModelInputs,
  ModelTensor,
  Search,
  SearchModel,
} from './decoding.ts';
export { bestOf, type Extension, Hypotheses, largestLogits, logSumExp } from './hypotheses.ts';
