import type { Runtime } from '../runtime.ts';
import type { NativeRuntime } from './index.ts';

export const isNative = (runtime: Runtime): runtime is NativeRuntime => 'native' in runtime;
