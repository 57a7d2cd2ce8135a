/**
 * Weights in other files. A graph comes from strangers and names these files itself: they are regular files of the model's own
 * folder, links followed, and hold what the graph says, before anything is read from them and before a runtime sees their names.
 * External data: onnx.ai/onnx/repo-docs/ExternalData.html.
 */
import { AttuneError } from '../errors.ts';
import { externalFile, malformed } from './external-file.ts';
import { subgraphs } from './graph-index.ts';
import type { Attribute, Graph, Model, Node, Payload, Tensor } from './model.ts';
import { nodeModule } from './node.ts';
import { elementBits, elementCount } from './tensor.ts';

type External = Extract<Payload, { kind: 'external' }>;

/** All tensors whose elements are in another file: initializers, and those in attributes of nodes and functions. */
function* externalTensors(model: Model): Generator<{ tensor: Tensor; payload: External }> {
  for (const tensor of [...ofGraph(model.graph), ...model.functions.flatMap(ofFunction)]) {
    if (tensor.payload?.kind === 'external') yield { tensor, payload: tensor.payload };
  }
}

const ofGraph = (graph: Graph): Tensor[] => [...graph.initializers, ...graph.nodes.flatMap(ofNode)];
const ofFunction = ({ nodes, attributeDefaults }: Model['functions'][number]): Tensor[] => [
  ...nodes.flatMap(ofNode),
  ...attributeDefaults.flatMap(ofAttribute),
];
const ofAttribute = ({ t, tensors = [] }: Attribute): Tensor[] => (t ? [t, ...tensors] : [...tensors]);
const ofNode = (node: Node): Tensor[] =>
  node.attributes.length === 0
    ? []
    : [...node.attributes.flatMap(ofAttribute), ...subgraphs(node).flatMap(ofGraph)];

/** Files other than the model that its tensors need, relative to the model's folder, sorted. */
export function externalFiles(model: Model): string[] {
  return [...new Set([...externalTensors(model)].map(({ payload }) => payload.location))].sort();
}

/**
 * Check the external files of a model on disk.
 * @param path of the .onnx file
 * @returns by location, the file itself, links followed
 * @throws AttuneError EXTERNAL_DATA_OUTSIDE, EXTERNAL_DATA_MISSING, EXTERNAL_DATA_TRUNCATED, EXTERNAL_DATA_MALFORMED naming file and
 *   tensor
 */
export function checkExternalFiles(model: Model, path: string): ReadonlyMap<string, string> {
  const { statSync } = nodeModule('node:fs');
  const files = new Map<string, { readonly real: string; readonly size: number }>();
  for (const { tensor, payload } of externalTensors(model)) {
    const known = files.get(payload.location);
    const real = known?.real ?? externalFile(path, payload.location);
    const file = known ?? { real, size: statSync(real).size };
    files.set(payload.location, file);
    checkPlace(tensor, payload, file.size, real);
  }
  return new Map([...files].map(([location, { real }]) => [location, real]));
}

/** @throws AttuneError EXTERNAL_DATA_TRUNCATED, EXTERNAL_DATA_MALFORMED */
function checkPlace(tensor: Tensor, { offset, length }: External, size: number, at: string): void {
  const bits = elementBits(tensor.dataType);
  const own = bits === undefined ? length : Math.ceil((elementCount(tensor) * bits) / 8);
  if (own !== undefined && length !== undefined && own !== length) {
    throw malformed(
      at,
      `${length} bytes for tensor ${tensor.name}`,
      `${own} for [${tensor.dims.join(', ')}] of its type`,
    );
  }
  const end = offset + (own ?? 0);
  if (size >= end) return;
  throw new AttuneError('EXTERNAL_DATA_TRUNCATED', {
    at,
    found: `${size} bytes`,
    expected: `at least ${end} for tensor ${tensor.name}`,
    hint: 'The download is incomplete; fetch the file again.',
  });
}

const NUMBER = /^\d+$/;

/** @throws AttuneError EXTERNAL_DATA_MALFORMED for entries that are not a location with decimal offset and length */
export function externalPayload(name: string, entries: ReadonlyMap<string, string>): External {
  const location = entries.get('location');
  const [offset = '0', length] = [entries.get('offset'), entries.get('length')];
  const valid = (text: string) => NUMBER.test(text) && Number.isSafeInteger(Number(text));
  if (!location || !valid(offset) || (length !== undefined && !valid(length))) {
    throw malformed(
      `tensor ${name}`,
      `external data ${JSON.stringify(Object.fromEntries(entries))}`,
      'a location with an offset and a length in decimal digits',
    );
  }
  return {
    kind: 'external',
    location,
    offset: Number(offset),
    ...(length !== undefined && { length: Number(length) }),
  };
}
