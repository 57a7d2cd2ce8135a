/** How many keys a call has, for biases over them. */
import type { EditContext } from '../hooks/compile/index.ts';
import type { Site } from '../sites/site.ts';

/** int64 [1]: T of a site in a model without an attention mask. */
export function keyLength(emit: EditContext['emit'], site: Site): string {
  const scores = site.scores;
  if (scores) return emit.dim(scores.value, scores.layout === 'BHST' ? 3 : 2);
  if (site.past?.layout === 'packed') {
    const past = emit.dim(site.past.k, 3);
    return emit.op('Add', [past, emit.dim(site.anchor.inputs[0]!, 1)], 'keys');
  }
  // com.microsoft.Attention projects inside: its keys are as many as its rows.
  const keys = site.k.operand ??
    site.k.proj ??
    site.q.proj ?? { value: site.anchor.inputs[0]!, layout: 'BS(HD)' };
  const fresh = emit.dim(keys.value, keys.layout === 'BHSD' ? 2 : 1);
  if (site.past?.layout !== 'BHPD') return fresh;
  return emit.op('Add', [emit.dim(site.past.k, 2), fresh], 'keys');
}
