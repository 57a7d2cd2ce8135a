/**
 * Graft: an edited graph whose weights stay where they are. Initializers whose payload was left in the model file
 * are re-declared as external data that point into that very file, at the byte offset of their elements. ONNX
 * Runtime then maps them from there; no weight passes through JavaScript.
 * External data: onnx.ai/onnx/repo-docs/ExternalData.html.
 */
import { AttuneError } from '../errors.ts';
import { changeGraph, changeModel, withGraphs } from './edit.ts';
import { encodeModel } from './encode.ts';
import { subgraphs } from './graph-index.ts';
import type { Graph, Model, Node, Tensor } from './model.ts';
import { nodeModule } from './node.ts';
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

/** Files other than the model that its initializers need, relative to the model's folder, sorted. */
export function externalFiles(model: Model): string[] {
  const files = new Set<string>();
  const visit = (graph: Graph) => {
    for (const { payload } of graph.initializers)
      if (payload?.kind === 'external') files.add(payload.location);
    for (const node of graph.nodes) {
      for (const { t } of node.attributes) if (t?.payload?.kind === 'external') files.add(t.payload.location);
      subgraphs(node).forEach(visit);
    }
  };
  visit(model.graph);
  return [...files].sort();
}

/**
 * Check that the external files of a model on disk are there and long enough.
 * @param folder the model's folder
 * @throws AttuneError EXTERNAL_DATA_MISSING, EXTERNAL_DATA_TRUNCATED naming file and tensor
 */
export async function checkExternalFiles(model: Model, folder: string): Promise<void> {
  const { statSync } = nodeModule('node:fs');
  const { join } = nodeModule('node:path');
  const needed = new Map<string, { end: number; tensor: string }>();
  const visit = (graph: Graph) => {
    for (const { name, payload } of graph.initializers) {
      if (payload?.kind !== 'external') continue;
      const end = payload.offset + (payload.length ?? 0);
      if (end >= (needed.get(payload.location)?.end ?? 0))
        needed.set(payload.location, { end, tensor: name });
    }
    for (const node of graph.nodes) subgraphs(node).forEach(visit);
  };
  visit(model.graph);
  for (const [location, { end, tensor }] of needed) {
    const size = statSync(join(folder, location), { throwIfNoEntry: false })?.size;
    if (size === undefined) {
      throw new AttuneError('EXTERNAL_DATA_MISSING', {
        at: join(folder, location),
        found: 'no such file',
        expected: `the weights of ${[...needed.keys()].length === 1 ? 'the model' : `tensor ${tensor}`}`,
        hint: `Download ${location} into the same folder as the .onnx file.`,
      });
    }
    if (size < end) {
      throw new AttuneError('EXTERNAL_DATA_TRUNCATED', {
        at: join(folder, location),
        found: `${size} bytes`,
        expected: `at least ${end} for tensor ${tensor}`,
        hint: 'The download is incomplete; fetch the file again.',
      });
    }
  }
}
