/**
 * The graph around attention over documents: what a site computes on its own, rotation and joining of keys included, moves into a
 * branch of an If, and whatever else reads it goes on to find it.
 */
import { AttuneError } from '../../../errors.ts';
import { exclusiveRegion } from '../../../onnx/exclusive-region.ts';
import {
  changeGraph,
  changeNode,
  executionOrder,
  type FunctionDef,
  type Graph,
  GraphIndex,
  type Node,
} from '../../../onnx/index.ts';
import { renamed } from '../../site/fragment.ts';
import type { State } from '../lowered.ts';

export interface SegmentsPart {
  /** What the If makes: value of the graph by result. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly states: readonly State[];
  readonly opsets: Readonly<Record<string, number>>;
  readonly functions: ReadonlyMap<string, FunctionDef>;
  /** Name the edited pattern will have, where it was asked for. */
  readonly pattern: string | undefined;
  /** Values that the branches read. */
  readonly reads: ReadonlySet<string>;
  /**
   * The If, around the site's own nodes. `extra`: outputs of these beside the site's, by what stands in for them;
   * `apart`: results that are not made by them, by where they are.
   */
  around(
    own: readonly Node[],
    extra: ReadonlyMap<string, string>,
    apart: ReadonlyMap<string, string>,
  ): readonly Node[];
}

/**
 * The graph with the own nodes of every site moved into a branch.
 * @param graph in execution order, with nodes that make what the parts make as well
 * @param states inputs that stand in for outputs of a site's other edits while documents are attended to
 */
export function aroundDocuments(
  graph: Graph,
  parts: readonly SegmentsPart[],
  states: ReadonlyMap<string, string>,
): Graph {
  if (parts.length === 0) return graph;
  const index = new GraphIndex(graph);
  const elsewhere = new Set(parts.flatMap(({ reads }) => [...reads]));
  const moved = new Set<number>();
  const added: Node[] = [];
  /** Results that stay outside, since nodes that stay use them: by the names they get there. */
  const apart = new Map<string, string>();
  /** Of these the keys and values. Whoever reads head outputs reads those of the If: what is read changes nothing. */
  const caches = new Map<string, string>();
  for (const part of parts) {
    const { region, stays } = regionOf(index, part, elsewhere);
    const own = region.map((position) => graph.nodes[position]!);
    const results = new Set(Object.values(part.outputs));
    const leaving = own.flatMap(({ outputs }) =>
      outputs.filter((name) => {
        return !results.has(name) && (index.isOutput(name) || leaves(index, name, region));
      }),
    );
    for (const value of stays) {
      apart.set(value, `attune.own/${value}`);
      if (value !== part.outputs.z) caches.set(value, `attune.own/${value}`);
    }
    const extra = new Map(leaving.map((name) => [name, standIn(name, states)]));
    added.push(...part.around(own, extra, apart));
    for (const position of region) moved.add(position);
  }
  const gone = new Set([...moved].flatMap((position) => graph.nodes[position]!.outputs));
  const staying = graph.nodes.filter((_, position) => !moved.has(position));
  const kept = staying.map((node) =>
    changeNode(renamedThrough([node], caches)[0]!, {
      outputs: node.outputs.map((value) => apart.get(value) ?? value),
    }),
  );
  const nodes = [...kept, ...added];
  const valueInfos = graph.valueInfos.filter(({ name }) => !gone.has(name));
  const whole = changeGraph(graph, { nodes, valueInfos });
  const order = executionOrder(new GraphIndex(whole));
  return changeGraph(whole, { nodes: order.map((position) => nodes[position]!) });
}

/**
 * Positions of a site's own nodes. A cache that a node outside reads as well (a tap, or another edit of the pattern) would
 * make the If wait for itself: it stays outside, with what makes it and all that its maker makes.
 */
function regionOf(index: GraphIndex, { outputs }: SegmentsPart, elsewhere: ReadonlySet<string>) {
  const results = Object.values(outputs);
  const region = exclusiveRegion(index, results, elsewhere);
  const makers = [outputs.k, outputs.v].flatMap((value) => {
    return value !== undefined && leaves(index, value, region) ? [index.producer(value)?.position] : [];
  });
  if (makers.length === 0) return { region, stays: [] };
  const stays = results.filter((value) => makers.includes(index.producer(value)?.position));
  const others = results.filter((value) => !stays.includes(value));
  return { region: exclusiveRegion(index, others, new Set([...elsewhere, ...stays])), stays };
}

/** Whether a node outside of the region uses the value. */
function leaves(index: GraphIndex, value: string, region: readonly number[]): boolean {
  return index.uses(value).some(({ position }) => !region.includes(position));
}

function standIn(name: string, states: ReadonlyMap<string, string>): string {
  const input = states.get(name);
  if (input !== undefined) return input;
  throw new AttuneError('LOWERING_LACKS_OPERATOR', {
    at: name,
    found: 'an output of an attention operator that attention over documents does not make',
    expected: 'head outputs, keys and values',
  });
}

export function renamedThrough(nodes: readonly Node[], names: ReadonlyMap<string, string>): Node[] {
  return [...renamed({ nodes, functions: new Map(), results: {} }, names).nodes];
}
