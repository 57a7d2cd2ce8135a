/** Which lowering what is done at a site is given: the cost table's choice among those the site's form has. */

import type { Site } from '../../sites/site.ts';
import { type Choice, candidatesFor, chooseLowering, type LoweringChoice, type Method } from './choose.ts';

/** Operator set the lowerings are written for. */
const OLDEST_OPSET = 13;

export interface ChoiceOptions {
  readonly ep: string;
  readonly opset: number;
  /** Forced; refused where the site does not have it. */
  readonly lowering?: LoweringChoice | undefined;
}

/** @throws AttuneError LOWERING_UNAVAILABLE for a forced lowering that the site or the provider does not have */
export function choiceAt(site: Site, method: Method, { ep, opset, lowering }: ChoiceOptions): Choice {
  const { fused, projectsInside } = site;
  const groupQuery = site.operator === 'com.microsoft.GroupQueryAttention';
  const all = candidatesFor(method, { ep, groupQuery, fused });
  // com.microsoft.Attention keeps its projections to itself, and older graphs lack what the lowerings are made of.
  const candidates = all.filter((one) => one === 'fused' || (opset >= OLDEST_OPSET && !projectsInside));
  if (candidates.length === 0 && (lowering ?? 'expanded') === 'expanded')
    return { lowering: 'expanded', why: 'the only one that can', measured: [] };
  return chooseLowering({ ep, method, candidates, forced: lowering });
}
