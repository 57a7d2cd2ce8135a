/** transformers.js models with hooks: load, wrap, switch interventions, look inside. */

export { type Activation, ActivationCache } from './activation.ts';
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
  type Variant,
  variantKey,
} from './intervention.ts';
export type { UntouchedRuns } from './live-session.ts';
export type { AttunedModel, AttuneHandle } from './model.ts';
export { type Report, STAGES, type Stage } from './report.ts';
export { findSpans, type ImageAttention, type RequestState, type Span, type Work } from './request.ts';
export { isEmpty } from './stack.ts';
