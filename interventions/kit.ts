/**
 * What a method of one's own is written with: `attune/interventions/kit`. docs/extending.md has a whole one in thirty lines.
 *
 * A method is a schema for its parameters, a plan (knobs and edits of the graph, the same for all parameters) and the values of
 * its knobs for given parameters. A knob's neutral value leaves the model as it is, bit for bit.
 */
export type { Edit, EditContext, Emit, Knob, KnobValue, Plan } from '../hooks/compile/index.ts';
export type { Intervention, ModelFacts, RequestState, Span, Variant } from '../hooks/model/index.ts';
export type { Feeds } from '../hooks/session/index.ts';
export { DataType } from '../onnx/index.ts';
export { type Definition, defineIntervention, type InterventionFactory } from './define.ts';
export { scaleOutputs, scaleQueries } from './head-factors.ts';
export { headKnob, headValues, layerValues } from './head-knob.ts';
export { type HeadSet, headSet, headTable, type LayerSet, layerSet } from './heads.ts';
export { imageFeed, imageKeys, imageKnob, refuseWithoutImages, spansOf } from './image-tokens.ts';
export { numberKnob, numberValue } from './number-knob.ts';
