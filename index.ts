/** attune: training-free interventions on attention for any ONNX transformer. */
export { AttuneError, isAttuneError } from './errors.ts';
export type { Activation, AttunedModel, HookFunction, Intervention } from './hooks/model/index.ts';
export { from_pretrained, from_pretrained as attune, wrap } from './hooks/model/index.ts';
export { defineIntervention, interventionFromJSON, zeroTuning } from './interventions/index.ts';
