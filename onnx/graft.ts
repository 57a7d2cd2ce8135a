/**
 * Graft: an edited graph whose weights stay where they are. Initializers whose payload was left in the model file
 * are re-declared as external data that point into that very file, at the byte offset of their elements. ONNX
 * Runtime then maps them from there; no weight passes through JavaScript.
 * External data: onnx.ai/onnx/repo-docs/ExternalData.html.
 */
import { changeGraph, changeModel, withGraphs } from './edit.ts';
import { encodeModel } from './encode.ts';
import type { Graph, Model, Node, Tensor } from './model.ts';
import type { Piece } from './wire.ts';

/** raw_data, float_data and double_data hold elements as plain little-endian bytes; the others are varints. */
const PLAIN_FIELDS: ReadonlySet<number> = new Set([4, 9, 10]);

/**
 * Encode the model with its large initializers referring to `location`, the name of the file they were read from.
 * What cannot be referred to (varint-coded fields, tensors in node attributes) stays a range in the result.
 *
 * @param renamed external files that are to be referred to by another name (see places.ts)
 */
export function graft(
  model: Model,
  location: string,
  renamed: ReadonlyMap<string, string> = new Map(),
): Piece[] {
  return encodeModel(grafted(model, location, renamed));
}

/** The model of `graft`, not yet encoded. */
export function grafted(
  model: Model,
  location: string,
  renamed: ReadonlyMap<string, string> = new Map(),
): Model {
  return changeModel(model, { graph: graftGraph(model.graph, { location, renamed }) });
}

interface Names {
  readonly location: string;
  readonly renamed: ReadonlyMap<string, string>;
}

function graftGraph(graph: Graph, names: Names): Graph {
  const initializers = graph.initializers.map((tensor) => graftTensor(tensor, names));
  const nodes = graph.nodes.map((node) => graftNode(node, names));
  return changeGraph(graph, { initializers, nodes });
}

function graftTensor(tensor: Tensor, { location, renamed }: Names): Tensor {
  const { payload } = tensor;
  if (payload?.kind === 'external') {
    const name = renamed.get(payload.location);
    return name === undefined
      ? tensor
      : { ...tensor, raw: undefined, payload: { ...payload, location: name } };
  }
  if (payload?.kind !== 'inline' || payload.piece instanceof Uint8Array || !PLAIN_FIELDS.has(payload.field)) {
    return tensor;
  }
  const { offset, length } = payload.piece;
  return { ...tensor, raw: undefined, payload: { kind: 'external', location, offset, length } };
}

/** Only nodes with sub-graphs can hold initializers; others keep their bytes. */
function graftNode(node: Node, names: Names): Node {
  return withGraphs(node, (graph) => graftGraph(graph, names));
}
