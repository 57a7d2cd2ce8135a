/** transformers.js models with hooks: load, wrap, switch interventions, look inside. */
export {
  type AttachOptions,
  from_pretrained,
  type TransformersModel,
  type TransformersModelClass,
  wrap,
} from './attach.ts';
export type {
  Contrast,
  ContrastContext,
  Decoding,
  ModelInputs,
  ModelTensor,
  Search,
  SearchModel,
} from './decoding/index.ts';
export { fingerprint, type ModelFacts, modelFacts } from './facts.ts';
export type { HookFunction } from './function-hooks.ts';
export {
  type Called,
  type Intervention,
  type InterventionKind,
  type Pass,
  type Report,
  STAGES,
  type Stage,
} from './intervention.ts';
export { isEmpty, type UntouchedRuns } from './live-session.ts';
export { type Activation, AttunedModel, type AttuneHandle } from './model.ts';
export { findSpans, type ImageAttention, type RequestState, type Span } from './request.ts';
