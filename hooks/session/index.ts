/** Running compiled graphs with ONNX Runtime. */
export { createSession, type SessionOptions, startSession } from './create.ts';
export { completeFeeds, type Nested } from './feeds.ts';
export {
  type ChosenRuntime,
  chooseRuntime,
  loadNativeRuntime,
  providersOf,
  RUNTIME_NAMES,
  type RuntimeName,
  type RuntimeWish,
} from './native/choose.ts';
export type { AddonPaths, NativeRuntime, NativeSession } from './native/index.ts';
export { isPadded, paddingPlan } from './padding.ts';
export { PlainTensor } from './plain-tensor.ts';
export { executionProviderOf } from './provider.ts';
export {
  alone,
  type Backend,
  type Feeds,
  installedTransformers,
  kernelsOf,
  loadRuntime,
  type OrtSession,
  type OrtTensor,
  ortVersion,
  type Runtime,
  runtimeBeside,
  runtimeVersion,
} from './runtime.ts';
export {
  HookedSession,
  type KnobFeeder,
  type PassOptions,
  type PassResults,
  type RunSettings,
  type TapListener,
} from './session.ts';
export { cacheOf, type Settings as StateSettings, StateStore } from './states.ts';
export { tooLarge } from './too-large.ts';
