/** Decoding interventions: second streams and searches on top of transformers.js generation. */
export type {
  Contrast,
  ContrastContext,
  Decoding,
  ModelInputs,
  ModelTensor,
  Search,
  SearchModel,
} from './decoding.ts';
export { installDecoding } from './install.ts';
