/**
 * Position-invariant attention of one token after the documents, batch of one: decoding. Every step of among.ts without
 * what only documents' own rows and batches need, as a plain chain of few nodes.
 */
import { DataType } from '../../../hooks/onnx/index.ts';
import { type Body, callFunction } from './function.ts';
import { closeSite, openSite, type SegmentedSite, type Written } from './site.ts';
import { importance, logitsByRun, probabilities, products, shiftsOf, weighted } from './steps.ts';

/** For mode 'pine', with a cache. The call must be what `isOneAfter` (layout.ts) says. */
export function afterDocuments(site: SegmentedSite): Written {
  const { layout, rotary } = site;
  const { emit, q, turned, k, v, keys, values } = openSite(site, 'after', true);
  const [z] = callFunction(
    emit,
    site,
    [
      ['q', q],
      ['turned', turned],
      ['k', k],
      ['v', v],
      ['documents', site.pastDocuments!],
      ['average', layout.average],
      ['earlier', layout.earlier],
      ['lengths', layout.lengths],
      ['runs', layout.sizes],
      ['padding', layout.padding],
      ['shift_cos', rotary.shiftCos],
      ['shift_sin', rotary.shiftSin],
    ],
    BODY,
  );
  return {
    nodes: emit.nodes,
    functions: emit.functions,
    results: {
      z: closeSite(emit, site, z!, true),
      k: keys,
      v: site.past?.v === undefined ? undefined : values,
      documents: emit('Expand', [emit.float(0), emit.ints(1, site.K, 0, site.D)]),
    },
  };
}

const BODY: Body = {
  name: 'AttentionAfterDocuments',
  outputs: ['z'],
  doc: 'One query q [1, H, 1, D], unrotated, and turned, at its position, over k, v [1, K, T, ·]; documents [1, K, W, D] unrotated → z [1, H, 1, E].',
  write(emit, sizes, extras) {
    const { H, documents } = sizes;
    const average = emit('Unsqueeze', ['average', emit.ints(1)]);
    const importances = importance(emit, products(emit, 'q', 'documents', sizes), average); // [1, H, 1, k]
    const shifts = shiftsOf(emit, importances, 'earlier', 'lengths');
    const byHead = emit('Reshape', [emit('Cast', [shifts], { to: DataType.INT64 }), emit.ints(H, documents)]);
    const rows = emit('Reshape', [emit('Transpose', [byHead], { perm: [1, 0] }), emit.ints(-1, 1)]); // [k·H, 1]
    const logits = logitsByRun(emit, 'turned', rows, 'k', 'runs', sizes);
    const bias = extras.has('bias') ? 'bias' : undefined;
    const probs = probabilities(emit, logits, extras, 'padding', bias);
    emit.as('z', 'Identity', [weighted(emit, probs, 'v', sizes)]);
  },
};
