/** Training-free interventions on attention, one file per method. */
export { type ActParameters, act } from './act.ts';
export { type BeamSearchParameters, beamSearch } from './beam-search.ts';
export { type ContrastParameters, contrast } from './contrast.ts';
export {
  canonicalJson,
  type Definition,
  definedKinds,
  defineIntervention,
  type Filled,
  type InterventionFactory,
  interventionFromJSON,
  interventionNamed,
} from './define.ts';
export { type DirectionPlace, type Directions, directionsOf } from './directions/directions.ts';
export { type DirectionsFile, readDirections, writeDirections } from './directions/file.ts';
export type { DocumentMarkers, GivenDocuments } from './documents.ts';
export { eachRow } from './each-row.ts';
export { type EmphasisParameters, emphasis } from './emphasis.ts';
export { type HeadAblationParameters, headAblation } from './head-ablation.ts';
export { type HeadScaleParameters, headScale } from './head-scale.ts';
export type { HeadSet, LayerSet, PerHead } from './heads.ts';
export { type ImbalancedAttentionParameters, imbalancedAttention } from './imbalanced-attention.ts';
export { type KeepCacheParameters, keepCache } from './keep-cache.ts';
export {
  type ChatMessage,
  type ChatTokenizer,
  type MarkedText,
  markedChat,
  markedText,
  type Piece,
} from './marked-text.ts';
export { type OperaParameters, opera } from './opera.ts';
export { type PaiParameters, pai } from './pai.ts';
export { type JsonSchema, type Parameter, parameterLines, parametersOf } from './parameters.ts';
export { type PineParameters, pine } from './pine.ts';
export type { Positions } from './positions.ts';
export {
  type PieceTokenizer,
  type PromptPieces,
  type SegmentedPrompt,
  segmentPrompt,
  splitAtMarkers,
  type TextMarkers,
} from './segment-prompt.ts';
export type { SinkPreset } from './sink-dimensions.ts';
export type { Spans } from './spans.ts';
export { type SteerParameters, steer } from './steer.ts';
export { type TempScaleParameters, tempScale } from './temp-scale.ts';
export { type VisualRedistributionParameters, visualRedistribution } from './var.ts';
export { type VcdParameters, vcd } from './vcd.ts';
export { type VhrParameters, vhr } from './vhr.ts';
export { type ZeroTuningParameters, zeroTuning } from './zerotuning.ts';
