/** Plans of taps, knobs and edits, compiled into graphs. */

export { changesCache, remembers } from '../../kernels/lowerings/at-site.ts';
export { type Choice, chooseLowering, editsBySite } from '../../kernels/lowerings/choose.ts';
export { LOWERINGS, type LoweringName } from '../../kernels/lowerings/lowering.ts';
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
export {
  type Compiled,
  type CompileOptions,
  checkCapability,
  compile,
  type KernelOptions,
  oneOfTwins,
  type Tap,
  withTwins,
} from './compile.ts';
export { withKeptLogits, withLogitRows } from './logit-rows.ts';
