/** The key padding input of the fused operators: flags per key, or (older graphs) the number of real keys per row. */
import { isOp } from './paths.ts';
import type { Scope } from './scope.ts';
import type { MaskUse } from './site.ts';

/** EmbedLayerNormalization counts the mask it is given into lengths; otherwise the rank tells. */
export function keyPaddingKind(scope: Scope, value: string): MaskUse['kind'] {
  const counted = isOp(
    scope.maker(value),
    'com.microsoft.EmbedLayerNormalization',
    'EmbedLayerNormalization',
  );
  return counted || scope.rankOf(value) === 1 ? 'lengths' : 'select';
}
