/** For tests of the native runtime: it, or the reason why they are skipped. */
import { isAttuneError } from '../../../errors.ts';
import { loadNativeRuntime, type NativeRuntime } from './index.ts';

/** Undefined where the addon is not built; CI builds it where there is cargo. */
export const native: NativeRuntime | undefined = await loadNativeRuntime().catch((error: unknown) => {
  if (!isAttuneError(error, 'NATIVE_ADDON')) throw error;
  console.warn(`skipped, the native addon is not there: ${error.message}`);
  return undefined;
});

/** Goes into the names of what is skipped, where .ci/count.mjs finds the reason. */
export const WHY_NOT = native === undefined ? ' [skipped: the native addon is not built]' : '';
