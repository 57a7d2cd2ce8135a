/**
 * A call of one new row that needs no more than its own probabilities: a few small nodes (row.ts), beside what takes all
 * other calls. Options and values of an edit may still lack the short form: then all calls take the other way.
 */
import type { Node } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import type { Edit as KernelEdit, RowCall, RowForm } from '../edits/edit.ts';
import type { Edit, ExpandEdit } from '../plan.ts';
import { tellsLengths } from '../site/bias.ts';
import type { CompanionName, Support, Supports, Target } from './lowering.ts';
import { type RowPlace, rowPlace } from './row.ts';

export const decodeStep = {
  name: 'decode-step',
  doc: 'calls of one row, with fewer nodes',

  supports(site: Site, edits: readonly Edit[], { graph }: Target): Support {
    const own = edits
      .filter((edit): edit is ExpandEdit => edit.kind === 'expand')
      .flatMap((one) => one.edits);
    const [edit, ...others] = own;
    if (!edit) return 'no edit is between the two products of the attention';
    if (others.length > 0) return 'has a form for one edit alone';
    if (!edit.row.row) return `has no form for '${edit.row.kind}'`;
    return tellsLengths(graph, site) || 'cannot tell the lengths of a call from the inputs of the graph';
  },

  /** @returns undefined where options and values of the edit do not allow it */
  lower(call: RowCall, edits: readonly KernelEdit[], operator: Node): (RowForm & RowPlace) | undefined {
    const [edit, ...others] = edits;
    const form = others.length === 0 ? edit?.row.row?.(edit.options, call) : undefined;
    return form && { ...form, ...rowPlace(call.context, call.site, operator, call.T) };
  },
} as const satisfies { name: CompanionName } & Supports & Record<string, unknown>;
