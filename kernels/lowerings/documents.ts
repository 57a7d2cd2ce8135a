/**
 * Attention over interchangeable documents (segments/) for calls that have two documents or more; the site as everything else
 * leaves it for the rest, moved into a branch.
 */

import type { Site } from '../../sites/site.ts';
import type { SegmentsEdit } from '../plan.ts';
import type { CompanionName, LoweringContext, SiteWork, Supports } from './lowering.ts';
import type { SegmentsPart } from './segments/around.ts';
import { segmentsContext, segmentsOf } from './segments/at-site.ts';

export const documents = {
  name: 'documents',
  doc: 'calls with two documents or more',

  supports(_site: Site, edits: Parameters<Supports['supports']>[1]) {
    return edits.some(({ kind }) => kind === 'segments') || 'no edit speaks of documents';
  },

  /** @throws AttuneError LOWERING_LACKS_OPERATOR, INTERVENTION_REFUSED */
  lower(
    site: Site,
    edit: SegmentsEdit,
    { beyondPadding, queryScale, tapped }: SiteWork,
    context: LoweringContext,
  ): SegmentsPart {
    const pattern = tapped ? context.pattern(site) : undefined;
    const unscaled = context.edited(site, 'unscaled');
    // What the site makes keeps its own names: edits of it come after.
    const operands = { ...unscaled, z: site.z, k: { ...unscaled.k, withPast: site.k.withPast } };
    const { target, index, shared } = context;
    const around = segmentsContext(context, target.graph, index, site, shared);
    return segmentsOf(around, operands, edit, { bias: beyondPadding, queryScale, pattern });
  },
} as const satisfies { name: CompanionName } & Supports & Record<string, unknown>;
