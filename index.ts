/** attune: training-free interventions on attention for any ONNX transformer. */

import { applyProfile, readProfile } from './calibration/profile.ts';
import {
  type AttunedModel,
  from_pretrained,
  type LoadOptions as ModelLoadOptions,
  type TransformersModel,
  type TransformersModelClass,
  wrap,
} from './hooks/model/index.ts';

export { makeProfile, type Profile } from './calibration/profile.ts';
export { AttuneError, type ErrorDetails, isAttuneError } from './errors.ts';
export type {
  Activation,
  ActivationCache,
  ActivationTensor,
  AttachOptions,
  AttunedModel,
  AttuneHandle,
  AttuneOptions,
  Dtype,
  FileChoice,
  GenerateOptions,
  GivenInterventions,
  HookFunction,
  Intervention,
  InterventionJSON,
  InterventionKind,
  ModelFacts,
  TransformersModel,
  TransformersModelClass,
} from './hooks/model/index.ts';
export {
  type ActParameters,
  act,
  type BeamSearchParameters,
  beamSearch,
  type ChatMessage,
  type ChatTokenizer,
  type ContrastParameters,
  contrast,
  type Definition,
  type DirectionPlace,
  type DirectionsFile,
  type DocumentMarkers,
  defineIntervention,
  type EmphasisParameters,
  emphasis,
  type Filled,
  type GivenDocuments,
  type HeadAblationParameters,
  type HeadScaleParameters,
  type HeadSet,
  headAblation,
  headScale,
  type ImbalancedAttentionParameters,
  type InterventionFactory,
  imbalancedAttention,
  interventionFromJSON,
  type KeepCacheParameters,
  keepCache,
  type LayerSet,
  type MarkedText,
  markedChat,
  markedText,
  type OperaParameters,
  opera,
  type PaiParameters,
  type PerHead,
  type Piece,
  type PieceTokenizer,
  type PineParameters,
  type Positions,
  type PromptPieces,
  pai,
  pine,
  type SegmentedPrompt,
  type SinkPreset,
  type Spans,
  type SteerParameters,
  segmentPrompt,
  splitAtMarkers,
  steer,
  type TempScaleParameters,
  type TextMarkers,
  tempScale,
  type VcdParameters,
  type VhrParameters,
  type VisualRedistributionParameters,
  vcd,
  vhr,
  visualRedistribution,
  type ZeroTuningParameters,
  zeroTuning,
} from './interventions/index.ts';
export { wrap };

/** Options of loading: attune's own, those of transformers.js, and a profile. */
export interface LoadOptions extends ModelLoadOptions {
  /** Interventions chosen for this model by `attune calibrate`: a profile, or the path of its JSON file. Default none. */
  readonly profile?: unknown;
}

/** What `attune` is: a function that loads, the same by the name transformers.js has for it, and one for models that are there. */
export interface Attune {
  /**
   * Load a transformers.js model with attune behind its sessions. It is the model that transformers.js makes, with `generate`,
   * pipelines and streamers as before, and with the methods of AttunedModel. Files, cache, revision and token are those of your
   * transformers.js. Without interventions its outputs are those of the untouched model, bit for bit.
   *
   * @example
   * ```ts
   * const model = await attune(AutoModelForCausalLM, folder, { dtype: 'fp32', interventions: [zeroTuning({ gamma: 1.4 })] });
   * const output = await model.generate({ ...tokenizer('the fox'), max_new_tokens: 8 });
   * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
   * ```
   * @param modelClass - a class of transformers.js, such as AutoModelForCausalLM
   * @param idOrFolder - Hub id (the cache of transformers.js is honoured) or a folder in Hub layout
   * @param options - dtype, device, interventions, prepare, profile, …; default: the untouched model
   * @throws AttuneError OPTION_UNKNOWN, OPTION_INVALID, DTYPE_UNKNOWN, MODEL_LOAD, GRAPH_NOT_FOUND, NO_ATTENTION,
   *   EXTERNAL_DATA_MISSING, SESSION_FAILED, PROFILE_INVALID, PROFILE_OF_ANOTHER_MODEL, and those of `use`
   */
  <M extends TransformersModel>(
    modelClass: TransformersModelClass<M>,
    idOrFolder: string,
    options?: LoadOptions,
  ): Promise<AttunedModel & M>;

  /** The same function by the name that transformers.js has for it. */
  from_pretrained<M extends TransformersModel>(
    modelClass: TransformersModelClass<M>,
    idOrFolder: string,
    options?: LoadOptions,
  ): Promise<AttunedModel & M>;

  /** Put attune behind a model that is loaded already, such as a pipeline's: see `wrap`. */
  wrap: typeof wrap;
}

const load = async <M extends TransformersModel>(
  modelClass: TransformersModelClass<M>,
  idOrFolder: string,
  options: LoadOptions = {},
): Promise<AttunedModel & M> => {
  const profile = options?.profile;
  const chosen = profile === undefined ? undefined : await readProfile(profile);
  const model = await from_pretrained(modelClass, idOrFolder, options);
  if (chosen) await applyProfile(model, chosen);
  return model;
};

/** Loads models with interventions; `attune.from_pretrained(…)` is the same, `attune.wrap(…)` takes a model that is loaded already. */
export const attune: Attune = Object.assign(load, { from_pretrained: load, wrap });
