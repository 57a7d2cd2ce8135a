/** The key padding input of the fused operators: flags per key, or (older graphs) the number of real keys per row. */
import { isOp } from './paths.ts';
import type { Scope } from './scope.ts';
import type { Lacks, MaskUse } from './site.ts';

/**
 * One axis is the number of real keys, [B]; ends and starts of them, [2B]; or lengths, and where queries and keys begin,
 * [3B+2]. Only the first is modelled, and a size that is not B's own does not tell which it is.
 */
export function unclearPadding(scope: Scope, value: string | undefined, query: string): Lacks {
  if (!value || isCounted(scope, value) || scope.rankOf(value) !== 1) return {};
  const [size] = scope.shape(value)!;
  if (size === scope.shape(query)?.[0]) return {};
  const reason = `a mask of ${size} numbers: lengths [B], starts and ends [2B] or offsets [3B+2], which the file does not tell apart`;
  return { scores: reason, pattern: reason, probabilities: reason };
}

/** EmbedLayerNormalization counts the mask it is given into lengths; otherwise the rank tells. */
export function keyPaddingKind(scope: Scope, value: string): MaskUse['kind'] {
  return isCounted(scope, value) || scope.rankOf(value) === 1 ? 'lengths' : 'select';
}

function isCounted(scope: Scope, value: string): boolean {
  return isOp(scope.maker(value), 'com.microsoft.EmbedLayerNormalization', 'EmbedLayerNormalization');
}
