/**
 * One graph as two, cut at the residual stream before a layer. Settings that begin at that layer share everything below
 * it, the KV cache of the lower layers included: the trunk computes that once, with one row, and the branch goes on with
 * a row for each setting. The same numbers in the same operators; nothing is left out.
 */
import type { Compiled } from '../../hooks/compile/index.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import {
  capturedValues,
  changeGraph,
  changeModel,
  DataType,
  elementCount,
  type Graph,
  GraphIndex,
  type Model,
  makeValueInfo,
  type Node,
  subgraphs,
  type Tensor,
} from '../../onnx/index.ts';

export interface Cut {
  /** Gives `carried` and the cache of the layers below, from the model's own inputs. */
  readonly trunk: Compiled;
  /** Takes `carried` as inputs, and gives the logits and the cache of the layers from the cut on. */
  readonly branch: Compiled;
  /** Values that cross the cut, float, batch first: the residual stream, and what was computed of it together with it. */
  readonly carried: readonly string[];
}

/** Operators that move or look up numbers of a weight without multiplying anything by it. */
const MOVING = new Set(
  'Gather GatherBlockQuantized Slice Reshape Unsqueeze Squeeze Transpose Identity Cast Shape Split Concat Expand Constant'.split(
    ' ',
  ),
);

/**
 * @param layer from 1 on: the first layer that is not shared
 * @returns undefined where the graph cannot be cut there: the stream has no name, or what crosses besides is unknown
 */
export function cutBefore(
  compiled: Compiled,
  { decoder, points }: ModelFacts,
  layer: number,
): Cut | undefined {
  const stream = points.find(({ kind, layer: at, tower }) => {
    return kind === 'hook_resid_pre' && at === layer && tower === decoder[0]!.tower;
  });
  if (!stream || stream.scope.length > 0 || stream.source.from !== 'value' || decoder.length <= layer) {
    return undefined;
  }
  const { graph } = compiled.model;
  const index = new GraphIndex(graph);
  const value = stream.source.place.value;
  if (index.producer(value) === undefined) return undefined;
  const below = ancestors(index, [value]);
  const computed = computedFrom(index, below);
  const crosses = (name: string) => {
    const maker = index.producer(name)?.node;
    return maker !== undefined && below.has(maker) && computed.has(name);
  };
  const ofLayer = (name: string) => Number(/\d+/.exec(name)?.[0] ?? Number.NaN);
  const belongs = (name: string, here: 'trunk' | 'branch') => {
    if (name === 'logits') return here === 'branch';
    return name.startsWith('present') && ofLayer(name) < layer === (here === 'trunk');
  };
  const outputs = graph.outputs.map(({ name }) => name);
  const known = outputs.every((name) => belongs(name, 'trunk') || belongs(name, 'branch'));
  if (!known) return undefined;

  const upper = outputs.filter((name) => belongs(name, 'branch'));
  const states = compiled.states.filter(({ output }) => !below.has(index.producer(output)!.node));
  const branchNodes = ancestors(index, [...upper, ...states.map(({ output }) => output)], crosses);
  const carried = [...new Set([...branchNodes].flatMap(reads).filter(crosses))];
  // A value made by an edit, or of another rank than the stream's, is none that this file knows how to carry.
  if (carried.some((name) => name.startsWith('attune'))) return undefined;
  const widths = carried.map((name) => index.info(name)?.shape?.length ?? 3);
  if (!carried.includes(value) || carried.length > 2 || widths.some((rank) => rank !== 3)) return undefined;

  const lower = outputs.filter((name) => belongs(name, 'trunk'));
  const elemType = decoder[0]!.elemType ?? DataType.FLOAT;
  const info = (name: string) => makeValueInfo(name, elemType, [`${name}:B`, `${name}:S`, `${name}:M`]);
  const trunkNodes = ancestors(index, [...carried, ...lower]);
  // The trunk has one row: what it reads of the cache must be its own.
  const foreign = [...trunkNodes].flatMap(reads).find((name) => {
    return index.isInput(name) && name.startsWith('past') && ofLayer(name) >= layer;
  });
  if (foreign !== undefined) return undefined;
  return {
    carried,
    trunk: part(compiled, trunkNodes, {
      outputs: [...carried.map(info), ...graph.outputs.filter(({ name }) => lower.includes(name))],
      inputs: [],
    }),
    branch: part({ ...compiled, states }, branchNodes, {
      outputs: graph.outputs.filter(
        ({ name }) => upper.includes(name) || states.some(({ output }) => output === name),
      ),
      inputs: carried.map(info),
    }),
  };
}

/**
 * The part of a graph that fills the cache and predicts nothing: of the last layer its keys and values, nothing else.
 * Where no edit takes part in that, it has no knobs, and one row serves all.
 */
export function cacheOnly(compiled: Compiled): Compiled {
  const { graph } = compiled.model;
  const outputs = graph.outputs.filter(({ name }) => name.startsWith('present'));
  const nodes = ancestors(
    new GraphIndex(graph),
    outputs.map(({ name }) => name),
  );
  return part({ ...compiled, states: [] }, nodes, { inputs: [], outputs });
}

/** All values a node uses, those of its sub-graphs included. */
function reads(node: Node): string[] {
  return [...node.inputs, ...subgraphs(node).flatMap((graph) => [...capturedValues(graph)])].filter(
    (name) => name !== '',
  );
}

/** Nodes that the values need, without going beyond values at which `stop` says so. */
function ancestors(
  index: GraphIndex,
  values: readonly string[],
  stop: (value: string) => boolean = () => false,
): Set<Node> {
  const found = new Set<Node>();
  const waiting = values.filter((value) => !stop(value));
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    const node = index.producer(value)?.node;
    if (!node || found.has(node)) continue;
    found.add(node);
    waiting.push(...reads(node).filter((name) => !stop(name)));
  }
  return found;
}

/**
 * Values that took arithmetic with weights to make. Masks, positions and embeddings did not: whoever needs them
 * computes them again.
 */
function computedFrom(index: GraphIndex, nodes: ReadonlySet<Node>): Set<string> {
  const computed = new Set<string>();
  for (const node of index.graph.nodes) {
    if (!nodes.has(node)) continue;
    const inputs = reads(node);
    const multiplies = !MOVING.has(node.opType) && inputs.some((name) => isWeight(index.initializer(name)));
    const shapeOnly = node.opType === 'Shape' || node.opType === 'Size';
    if (!shapeOnly && (multiplies || inputs.some((name) => computed.has(name)))) {
      for (const output of node.outputs) computed.add(output);
    }
  }
  return computed;
}

/** Frequencies of rotary embeddings and constants of masks are shorter than any matrix. */
const WEIGHT_ELEMENTS = 256;

function isWeight(tensor: Tensor | undefined): boolean {
  return tensor !== undefined && elementCount(tensor) > WEIGHT_ELEMENTS;
}

/** The model with these nodes alone, and what they use. */
function part(
  { model, knobs, states, taps }: Compiled,
  nodes: ReadonlySet<Node>,
  { inputs, outputs }: Pick<Graph, 'inputs' | 'outputs'>,
): Compiled {
  const { graph } = model;
  const used = new Set([...nodes].flatMap(reads));
  const given = new Set(inputs.map(({ name }) => name));
  const kept = {
    nodes: graph.nodes.filter((node) => nodes.has(node)),
    inputs: [...graph.inputs.filter(({ name }) => used.has(name)), ...inputs],
    outputs,
    initializers: graph.initializers.filter(({ name }) => used.has(name)),
    valueInfos: graph.valueInfos.filter(({ name }) => !given.has(name)),
  };
  const changed: Model = changeModel(model, { graph: changeGraph(graph, kept) });
  return {
    model: changed,
    taps,
    knobs: knobs.filter(({ name }) => used.has(name)),
    states: states.filter(({ input }) => used.has(input)),
  };
}
