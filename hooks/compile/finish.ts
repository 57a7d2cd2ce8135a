/** A graph that nodes were added to, put in order and rid of what nobody reads. */
import {
  capturedValues,
  changeGraph,
  executionOrder,
  type Graph,
  GraphIndex,
  type Node,
  subgraphs,
  type Tensor,
} from '../../onnx/index.ts';

export function sorted(graph: Graph): Graph {
  const order = executionOrder(new GraphIndex(graph));
  return changeGraph(graph, { nodes: order.map((position) => graph.nodes[position]!) });
}

/**
 * Takes out what of `nodes` and `constants` nobody reads: ONNX Runtime would run the ones and warn of the others. The
 * graph's nodes are in execution order.
 */
export function withoutUnused(graph: Graph, nodes: ReadonlySet<Node>, constants: ReadonlySet<Tensor>): Graph {
  const used = new Set(graph.outputs.map(({ name }) => name));
  const kept = graph.nodes.toReversed().filter((node) => {
    if (nodes.has(node) && !node.outputs.some((name) => used.has(name))) return false;
    for (const name of node.inputs) used.add(name);
    for (const inner of subgraphs(node)) for (const name of capturedValues(inner)) used.add(name);
    return true;
  });
  const initializers = graph.initializers.filter((one) => used.has(one.name) || !constants.has(one));
  return changeGraph(graph, { nodes: kept.toReversed(), initializers });
}
