/** Scores and probabilities are values of the graph: they are edited where they are (pattern.ts). */
import { DataType } from '../../onnx/index.ts';
import type { ExpandEdit } from '../plan.ts';
import { fromBHST, toBHST } from '../site/layout.ts';
import { expandPattern, expansionAt } from './at-site.ts';
import { type Lowering, NOTHING, tooOld } from './lowering.ts';

export const atPattern: Lowering = {
  name: 'at-pattern',
  doc: 'scores and probabilities edited where they are',

  supports({ fused, pattern, scores }, edits, target) {
    if (fused) return 'needs scores and probabilities as values, which the operator keeps inside';
    if (!scores && edits.some(({ kind }) => kind === 'bias' || kind === 'logits')) {
      return 'finds no value that carries the scores';
    }
    const own = edits.filter((edit): edit is ExpandEdit => edit.kind === 'expand');
    if (own.length === 0) return true;
    if (!pattern) return 'finds no value that carries the probabilities';
    const other = own.flatMap((edit) => edit.edits).find(({ row }) => row.pattern === undefined);
    if (other) return `finds '${other.row.kind}' to be no edit of the probabilities`;
    return tooOld(target) ?? true;
  },

  lower(site, { edits }, context) {
    const own = edits.filter((edit): edit is ExpandEdit => edit.kind === 'expand');
    if (own.length === 0) return NOTHING;
    const { emit } = context;
    const place = site.pattern!;
    const value = context.now(place.value);
    const bhst = toBHST(emit, { ...place, value }, site.numHeads);
    const part = expandPattern(site, expansionAt(context, site, own, site.anchor), bhst);
    emit.add(...part.nodes);
    const edited = part.results.pattern!;
    const float = site.elemType === undefined || site.elemType === DataType.FLOAT;
    const typed = float ? edited : emit.op('CastLike', [edited, value], 'pattern');
    context.rewire(place.value, fromBHST(emit, typed, place));
    return { ...part, nodes: [], replaces: false };
  },
};
