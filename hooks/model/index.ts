/** transformers.js models with hooks: load, wrap, switch interventions, look inside. */

export type { Activation } from './activation.ts';
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
export type { Called, Intervention, InterventionKind, Pass } from './intervention.ts';
export { isEmpty, type UntouchedRuns } from './live-session.ts';
export { AttunedModel, type AttuneHandle } from './model.ts';
export { type Report, STAGES, type Stage } from './report.ts';
export { findSpans, type ImageAttention, type RequestState, type Span } from './request.ts';
