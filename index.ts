/** attune: training-free interventions on attention for any ONNX transformer. */

import { applyProfile, readProfile } from './calibration/profile.ts';
import {
  type AttunedModel,
  from_pretrained,
  type LoadOptions,
  type TransformersModel,
  type TransformersModelClass,
  wrap,
} from './hooks/model/index.ts';

export { makeProfile, type Profile } from './calibration/profile.ts';
export { AttuneError, isAttuneError } from './errors.ts';
export type {
  Activation,
  ActivationCache,
  ActivationTensor,
  AttunedModel,
  HookFunction,
  Intervention,
} from './hooks/model/index.ts';
export {
  act,
  beamSearch,
  contrast,
  defineIntervention,
  emphasis,
  headAblation,
  headScale,
  imbalancedAttention,
  interventionFromJSON,
  keepCache,
  markedChat,
  markedText,
  opera,
  pai,
  pine,
  segmentPrompt,
  splitAtMarkers,
  steer,
  tempScale,
  vcd,
  vhr,
  visualRedistribution,
  zeroTuning,
} from './interventions/index.ts';
export { wrap };

/**
 * Load a transformers.js model with attune behind its sessions (see hooks/model/options.ts for the options).
 *
 * @param options.profile interventions chosen for this model: a profile or the path of one
 * @throws AttuneError PROFILE_INVALID, PROFILE_OF_ANOTHER_MODEL, and those of hooks/model from_pretrained
 */
async function load<M extends TransformersModel>(
  modelClass: TransformersModelClass<M>,
  idOrFolder: string,
  options: LoadOptions & { readonly profile?: unknown } = {},
): Promise<M & AttunedModel> {
  const profile = options?.profile;
  const chosen = profile === undefined ? undefined : await readProfile(profile);
  const model = await from_pretrained(modelClass, idOrFolder, options);
  if (chosen) await applyProfile(model, chosen);
  return model;
}

/** `attune(...)` and `attune.from_pretrained(...)` are one; `attune.wrap` takes a model that is loaded already. */
export const attune = Object.assign(load, { from_pretrained: load, wrap });
