/** attune: training-free interventions on attention for any ONNX transformer. */
import { from_pretrained, wrap } from './hooks/model/index.ts';

export { AttuneError, isAttuneError } from './errors.ts';
export type { Activation, AttunedModel, HookFunction, Intervention } from './hooks/model/index.ts';
export {
  act,
  defineIntervention,
  headAblation,
  headScale,
  interventionFromJSON,
  tempScale,
  zeroTuning,
} from './interventions/index.ts';
export { wrap };

/**
 * Load a transformers.js model with attune behind its sessions; `attune.wrap` does it for one that is loaded.
 * See hooks/model/attach.ts.
 */
export const attune = Object.assign(from_pretrained, { from_pretrained, wrap });
