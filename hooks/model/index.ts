/** transformers.js models with hooks: load, wrap, switch interventions, look inside. */

export { type Activation, ActivationCache, type ActivationTensor } from './activation.ts';
export type { TransformersModel, TransformersModelClass } from './attach.ts';
export type { CacheNote, KeptKeys } from './cache-note.ts';
export { checkFeeds } from './check-inputs.ts';
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
export { asDtype, DTYPES, type Dtype } from './files.ts';
export type { HookFunction } from './function-hooks.ts';
export type { HostEnvironment } from './host-environment.ts';
export {
  type Called,
  type GivenInterventions,
  type Intervention,
  type InterventionJSON,
  type InterventionKind,
  type Pass,
  type Variant,
  variantKey,
} from './intervention.ts';
export { kindOf } from './kind-of.ts';
export type { UntouchedRuns } from './live-session.ts';
export { from_pretrained } from './load.ts';
export { loadFailure, refuseNoFolder } from './load-failure.ts';
export type { AttunedModel, AttuneHandle, GenerateOptions } from './model.ts';
export type {
  AttachOptions,
  AttuneOptions,
  FileChoice,
  LoadOptions,
} from './options.ts';
export { type Report, STAGES, type Stage } from './report.ts';
export { findSpans, type ImageAttention, type RequestState, type Span, type Work } from './request.ts';
export { asInterventions, registerKind } from './specification.ts';
export { isEmpty } from './stack.ts';
export { type FolderCache, folderCache } from './web-folder.ts';
export { wrap } from './wrap.ts';
