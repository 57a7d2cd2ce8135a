/** Plans of taps, knobs and edits, compiled into graphs. */
export { type Choice, type LoweringChoice, METHODS, type Method } from '../../kernels/costs/choose.ts';
export { choiceAt } from './choice.ts';
export { type Compiled, type CompileOptions, compile, type KernelOptions, type Tap } from './compile.ts';
export { Emitter, type Length } from './emitter.ts';
export { changesCache, remembers } from './expand.ts';
export { withKeptLogits, withLogitRows } from './logit-rows.ts';
export type { Edit, EditContext, ExpandEdit, Knob, KnobValue, Plan, SegmentsEdit } from './plan.ts';
export { queryPlace } from './query-scale.ts';
export { MASKED_BELOW } from './read.ts';
