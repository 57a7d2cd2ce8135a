/**
 * Logits at some positions only. The product with the vocabulary is up to half of a small model's work on a prompt, and its
 * result 600 KB for each token of a large one; most callers read a few rows of it.
 */
import { AttuneError } from '../../errors.ts';
import {
  changeGraph,
  changeModel,
  changeNode,
  DataType,
  GraphIndex,
  int64Tensor,
  type Model,
  makeNode,
  makeValueInfo,
  type Node,
  type Tensor,
  type ValueInfo,
} from '../../onnx/index.ts';

const LOGITS = 'logits';

/** Whatever acts on each number alone may come after the choice of rows as well as before it. */
const ELEMENTWISE = new Set(['Cast', 'Identity', 'Mul', 'Div', 'Tanh']);
/** Products whose left side keeps its leading axes; those that quantise their left side as a whole are not among them. */
const PRODUCTS = new Set(['MatMul', 'MatMulNBits']);

/** Which rows: what the graph is fed, and nodes that make [B, n, X] out of a value [B, S, X]. */
export interface RowChoice {
  readonly input: ValueInfo;
  readonly constants?: readonly Tensor[];
  nodes(value: string, output: string): Node[];
}

/**
 * `logits` becomes [B, n, V]. The rows are taken before the last product where that is a plain one, else after it.
 * @throws AttuneError LOGITS_MISSING
 */
export function withLogitRows(model: Model, { input, constants = [], nodes: choose }: RowChoice): Model {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const made = index.producer(LOGITS)?.node;
  if (!made || !index.isOutput(LOGITS)) {
    throw new AttuneError('LOGITS_MISSING', {
      found: `the outputs ${graph.outputs
        .map(({ name }) => name)
        .slice(0, 4)
        .join(', ')}, …`,
      expected: '"logits"',
      hint: 'What predicts tokens is a causal language model.',
    });
  }
  const product = lastProduct(index, made);
  const changed = product ?? made;
  const all = product ? product.inputs[0]! : `${input.name}/all`;
  const chosen = choose(all, product ? `${input.name}/chosen` : LOGITS);
  const change = product
    ? { inputs: [`${input.name}/chosen`, ...product.inputs.slice(1)] }
    : { outputs: made.outputs.map((name) => (name === LOGITS ? all : name)) };
  const nodes = graph.nodes.flatMap((node) => {
    if (node !== changed) return [node];
    const now = changeNode(node, change);
    return product ? [...chosen, now] : [now, ...chosen];
  });
  // Declared shapes of the logits would contradict the choice.
  const outputs = graph.outputs.map((info) =>
    info.name === LOGITS ? { name: LOGITS, elemType: info.elemType, shape: ['B', 'n', 'V'] } : info,
  );
  const touched = new Set([LOGITS]);
  for (let node: Node | undefined = made; product && node && node !== product; ) {
    const value: string = carrier(index, node)!;
    touched.add(value);
    node = index.producer(value)?.node;
  }
  return changeModel(model, {
    graph: changeGraph(graph, {
      nodes,
      outputs,
      inputs: [...graph.inputs, input],
      initializers: [...graph.initializers, ...constants],
      valueInfos: graph.valueInfos.filter(({ name }) => !touched.has(name)),
    }),
  });
}

/** The product that gives the logits, behind what is done to each of them alone. */
function lastProduct(index: GraphIndex, from: Node): Node | undefined {
  let node: Node | undefined = from;
  while (node && ELEMENTWISE.has(node.opType)) {
    const value = carrier(index, node);
    if (value === undefined || index.uses(value).length > 1) return undefined;
    node = index.producer(value)?.node;
  }
  if (!node || !PRODUCTS.has(node.opType)) return undefined;
  return index.uses(node.outputs[0]!).length > 1 ? undefined : node;
}

/** The one input of an elementwise node that is computed. */
function carrier(index: GraphIndex, { inputs }: Node): string | undefined {
  const computed = inputs.filter((name) => index.constant(name) === undefined);
  return computed.length === 1 ? computed[0] : undefined;
}

/** As recent exports call it, and as transformers.js feeds it: 1 while it generates, else 0. */
const NUM_LOGITS_TO_KEEP = 'num_logits_to_keep';

/**
 * The graph with the input num_logits_to_keep, int64 []: logits of the last so many positions, 0 for all. Exports that have it
 * already, and those without logits, stay as they are.
 */
export function withKeptLogits(model: Model): Model {
  const { inputs, outputs } = model.graph;
  if (inputs.some(({ name }) => name === NUM_LOGITS_TO_KEEP)) return model;
  if (!outputs.some(({ name }) => name === LOGITS)) return model;
  const at = (name: string) => `attune.${NUM_LOGITS_TO_KEEP}/${name}`;
  const one = int64Tensor(at('one'), [1]);
  const end = int64Tensor(at('end'), [Number.MAX_SAFE_INTEGER]);
  return withLogitRows(model, {
    input: makeValueInfo(NUM_LOGITS_TO_KEEP, DataType.INT64, []),
    constants: [one, end],
    // From −count to the end; −0 is the beginning.
    nodes: (value, output) => [
      makeNode('Reshape', [NUM_LOGITS_TO_KEEP, one.name], [at('count')], { name: at('Reshape') }),
      makeNode('Neg', [at('count')], [at('from')], { name: at('Neg') }),
      makeNode('Slice', [value, at('from'), end.name, one.name], [output], { name: at('Slice') }),
    ],
  });
}
