/**
 * Caches that may go in and come out in one buffer. GroupQueryAttention writes new keys behind the old ones where its past and
 * present are the same memory; past then has the shape of the whole buffer, so nobody else may look at it:
 *
 *     past_key_values.0.key ──▶ GroupQueryAttention ──▶ present.0.key       (graph input, this operator, graph output)
 *     attention_mask ▶ Shape ▶ Gather(1) ▶ Cast ──▶ total_sequence_length   (so that its length is known before the run)
 */
import { GraphIndex, type Model, type Node, qualifiedOp, tensorValues } from '../../../onnx/index.ts';

export interface SharedCache {
  /** Graph input, [B,K,P,D]. */
  readonly past: string;
  /** Graph output, [B,K,T,D]. */
  readonly present: string;
  /** Graph input whose second dimension is T. */
  readonly mask: string;
}

/** Positions in GroupQueryAttention: [past, present] of keys and of values; the total length. */
const PAIRS = [
  [3, 1],
  [4, 2],
] as const;
const TOTAL = 6;

export function sharedCaches({ graph }: Model): SharedCache[] {
  const index = new GraphIndex(graph);
  return graph.nodes.flatMap((node) => {
    if (qualifiedOp(node) !== 'com.microsoft.GroupQueryAttention') return [];
    const mask = lengthGiver(index, node.inputs[TOTAL] ?? '');
    if (mask === undefined) return [];
    const pairs = PAIRS.map(([input, output]) => ({
      past: node.inputs[input] ?? '',
      present: node.outputs[output] ?? '',
      mask,
    }));
    // Keys and values together: the operator shares both or neither.
    return pairs.every(({ past, present }) => isOwn(index, node, past, present)) ? pairs : [];
  });
}

/** Nobody but the node uses past, nobody but the caller present. */
function isOwn(index: GraphIndex, node: Node, past: string, present: string): boolean {
  const uses = index.uses(past);
  return (
    index.isInput(past) &&
    !index.isOutput(past) &&
    index.initializer(past) === undefined &&
    uses.length === 1 &&
    uses[0]!.node === node &&
    index.isOutput(present) &&
    index.uses(present).length === 0
  );
}

/** The graph input of which `value` is the length of the second axis. */
function lengthGiver(index: GraphIndex, value: string): string | undefined {
  let at = value;
  for (;;) {
    const node = index.producer(at)?.node;
    if (!node) return undefined;
    if (node.opType === 'Gather') {
      const chosen = index.constant(node.inputs[1] ?? '');
      const shape = index.producer(node.inputs[0] ?? '')?.node;
      const [axis] = (chosen && tensorValues(chosen)) ?? [];
      if (axis !== 1 || shape?.opType !== 'Shape' || shape.attributes.length > 0) return undefined;
      const input = shape.inputs[0] ?? '';
      return index.isInput(input) ? input : undefined;
    }
    if (!['Cast', 'Identity', 'Squeeze', 'Unsqueeze', 'Reshape'].includes(node.opType)) return undefined;
    at = node.inputs[0] ?? '';
  }
}
