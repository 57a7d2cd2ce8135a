/** Self- or cross-attention: do queries and keys come from the same activations? */
import { isWeight } from './norm.ts';
import { unviewed } from './paths.ts';
import type { SiteDraft } from './rule.ts';
import type { Scope } from './scope.ts';

/** Nodes searched back from each source; low-rank projections with a norm between (MLA) need about ten. */
const HORIZON = 16;

export function crossOrSelf(scope: Scope, site: SiteDraft): 'self' | 'cross' {
  const { q, k } = site.sources;
  if (q === undefined || k === undefined) return site.attention;
  if (unviewed(scope, q) === unviewed(scope, k)) return 'self';
  const before = ancestors(scope, q);
  for (const value of ancestors(scope, k)) if (before.has(value)) return 'self';
  return 'cross';
}

function ancestors(scope: Scope, value: string): ReadonlySet<string> {
  const found = new Set([unviewed(scope, value)]);
  for (const at of found) {
    if (found.size > HORIZON) break;
    for (const input of scope.maker(at)?.inputs ?? []) {
      if (input !== '' && !isWeight(scope, input) && scope.elemType(input) !== 7) found.add(input);
    }
  }
  return found;
}
