/**
 * Caches that may go in and come out in one buffer. GroupQueryAttention writes new keys behind the old ones where its past and
 * present are the same memory; past then has the shape of the whole buffer, so nobody else may look at it:
 *
 *     past_key_values.0.key ──▶ GroupQueryAttention ──▶ present.0.key       (graph input, this operator, graph output)
 *     attention_mask ▶ Shape ▶ Gather(1) ▶ Cast ──▶ total_sequence_length   (so that its length is known before the run)
 *
 * The operator of the native runtime does the same, and so does an If that chooses between the two.
 */
import { DOMAIN } from '../../../onnx/emitter.ts';
import {
  capturedValues,
  type Graph,
  GraphIndex,
  type Model,
  type Node,
  qualifiedOp,
  subgraphs,
  tensorValues,
} from '../../../onnx/index.ts';

export interface SharedCache {
  /** Graph input, [B,K,P,D]. */
  readonly past: string;
  /** Graph output, [B,K,T,D]. */
  readonly present: string;
  /** Graph input whose second dimension is T. */
  readonly mask: string;
}

/** Where an operator that grows its cache has it: inputs of past keys and values, and of the total length. */
interface Places {
  readonly past: readonly [number, number];
  readonly total: number;
}
const GROUPED: Places = { past: [3, 4], total: 6 };
const NATIVE: Places = { past: [3, 4], total: 5 };
/** Its outputs of present keys and values. */
const PRESENT = [1, 2] as const;

/** @param operators functions of the graph that are run by a kernel, which shares as GroupQueryAttention does */
export function sharedCaches({ graph }: Model, operators: readonly string[] = []): SharedCache[] {
  const index = new GraphIndex(graph);
  const placesOf = (node: Node): Places | undefined => {
    if (qualifiedOp(node) === 'com.microsoft.GroupQueryAttention') return GROUPED;
    return node.domain === DOMAIN && operators.includes(node.opType) ? NATIVE : undefined;
  };
  return graph.nodes.flatMap((node) => {
    const growing = growingIn(node, placesOf);
    if (!growing) return [];
    const { past, total, present } = growing;
    const mask = lengthGiver(index, total);
    if (mask === undefined) return [];
    // Keys and values together: the operator shares both or neither.
    const pairs = [0, 1].map((i) => ({ past: past[i]!, present: present[i]!, mask }));
    return pairs.every((pair) => isOwn(index, node, pair.past, pair.present)) ? pairs : [];
  });
}

/** A node that makes present keys and values of past ones and does nothing else with either. */
interface Growing {
  readonly past: readonly [string, string];
  readonly total: string;
  readonly present: readonly [string, string];
}

/** The operator itself, or an If that has one in each branch: whichever runs grows the same cache. */
function growingIn(node: Node, placesOf: (node: Node) => Places | undefined): Growing | undefined {
  const places = placesOf(node);
  if (places) {
    const [k, v] = places.past;
    return {
      past: [node.inputs[k] ?? '', node.inputs[v] ?? ''],
      total: node.inputs[places.total] ?? '',
      present: [node.outputs[PRESENT[0]] ?? '', node.outputs[PRESENT[1]] ?? ''],
    };
  }
  if (node.opType !== 'If' || node.domain !== '') return undefined;
  const branches = subgraphs(node).map((branch) => growingBranch(branch, placesOf));
  const [first, second] = branches;
  if (!first || !second || branches.length !== 2) return undefined;
  const same =
    first.past.join() === second.past.join() &&
    first.total === second.total &&
    first.at.join() === second.at.join();
  const present = first.at.map((at) => node.outputs[at] ?? '') as [string, string];
  return same ? { past: first.past, total: first.total, present } : undefined;
}

/** Of a branch: the operator, where its cache is among the branch's outputs, and no other node reads past or present. */
function growingBranch(branch: Graph, placesOf: (node: Node) => Places | undefined) {
  const own = branch.nodes.map((node) => growingIn(node, placesOf));
  const growing = own.filter((one) => one !== undefined);
  const [one] = growing;
  if (!one || growing.length > 1) return undefined;
  const held = new Set([...one.past, ...one.present]);
  const holder = branch.nodes[own.indexOf(one)]!;
  const read = branch.nodes.some((node) => node !== holder && reads(node, held));
  const at = one.present.map((value) => branch.outputs.findIndex(({ name }) => name === value));
  return read || at.includes(-1) ? undefined : { ...one, at };
}

function reads(node: Node, values: ReadonlySet<string>): boolean {
  const captured = subgraphs(node).flatMap((graph) => [...capturedValues(graph)]);
  return [...node.inputs, ...captured].some((value) => values.has(value));
}

/** Nobody but the node uses past, nobody but the caller present. */
function isOwn(index: GraphIndex, node: Node, past: string, present: string): boolean {
  const uses = index.uses(past);
  return (
    past !== '' &&
    index.isInput(past) &&
    !index.isOutput(past) &&
    index.initializer(past) === undefined &&
    uses.length > 0 &&
    uses.every((use) => use.node === node) &&
    // Of an operator it is one input; what branches do with it was looked at.
    (node.opType === 'If' || uses.length === 1) &&
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
