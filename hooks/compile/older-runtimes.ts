/**
 * A graph as an older ONNX Runtime takes it. Exporters name inputs that an operator does not use by empty names, up to the last one
 * they know of; a version that knows fewer refuses the file: empty names at the end say nothing, and are left out.
 */
import { GROUPED_BIAS, isBefore } from '../../kernels/lowerings/runtime-version.ts';
import {
  changeGraph,
  changeModel,
  changeNode,
  type Graph,
  type Model,
  type Node,
  withGraphs,
} from '../../onnx/index.ts';

/** @param version of ONNX Runtime; undefined: a new one, for which the model stays as it is */
export function forRuntime(model: Model, version: string | undefined): Model {
  if (!isBefore(version, GROUPED_BIAS)) return model;
  return changeModel(model, { graph: shortened(model.graph) });
}

const shortened = (graph: Graph): Graph => changeGraph(graph, { nodes: graph.nodes.map(shortenedNode) });

function shortenedNode(node: Node): Node {
  const whole = withGraphs(node, shortened);
  const last = whole.inputs.findLastIndex((name) => name !== '');
  return last + 1 < whole.inputs.length
    ? changeNode(whole, { inputs: whole.inputs.slice(0, last + 1) })
    : whole;
}
