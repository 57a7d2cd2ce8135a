/** Plans of taps, knobs and edits, compiled into graphs. */

export { choiceAt } from '../../kernels/costs/at-site.ts';
export { type Choice, type LoweringChoice, METHODS, type Method } from '../../kernels/costs/choose.ts';
export { changesCache, remembers } from '../../kernels/lowerings/at-site.ts';
export type {
  Edit,
  EditContext,
  ExpandEdit,
  Knob,
  KnobValue,
  Plan,
  SegmentsEdit,
} from '../../kernels/plan.ts';
export { queryPlace } from '../../kernels/site/query-scale.ts';
export { MASKED_BELOW } from '../../kernels/site/read-point.ts';
export type { Emit, Length } from '../../onnx/emitter.ts';
export { type Compiled, type CompileOptions, compile, type KernelOptions, type Tap } from './compile.ts';
export { withKeptLogits, withLogitRows } from './logit-rows.ts';
