/** Training-free interventions on attention, one file per method. */
export { act } from './act.ts';
export { beamSearch } from './beam-search.ts';
export { contrast } from './contrast.ts';
export {
  canonicalJson,
  definedKinds,
  defineIntervention,
  type InterventionFactory,
  interventionFromJSON,
  interventionNamed,
} from './define.ts';
export { type DirectionPlace, type Directions, directionsOf } from './directions/directions.ts';
export { type DirectionsFile, readDirections, writeDirections } from './directions/file.ts';
export { eachRow } from './each-row.ts';
export { emphasis } from './emphasis.ts';
export { headAblation } from './head-ablation.ts';
export { headScale } from './head-scale.ts';
export { imbalancedAttention } from './imbalanced-attention.ts';
export { keepCache } from './keep-cache.ts';
export {
  type ChatMessage,
  type MarkedText,
  markedChat,
  markedText,
  type Piece,
} from './marked-text.ts';
export { opera } from './opera.ts';
export { pai } from './pai.ts';
export { type JsonSchema, type Parameter, parameterLines, parametersOf } from './parameters.ts';
export { pine } from './pine.ts';
export {
  type PromptPieces,
  type SegmentedPrompt,
  segmentPrompt,
  splitAtMarkers,
  type TextMarkers,
} from './segment-prompt.ts';
export { steer } from './steer.ts';
export { tempScale } from './temp-scale.ts';
export { visualRedistribution } from './var.ts';
export { vcd } from './vcd.ts';
export { vhr } from './vhr.ts';
export { zeroTuning } from './zerotuning.ts';
