/**
 * Logits at chosen positions only. A sweep looks at the few positions that predict what is scored; the product with the
 * vocabulary, up to half of a small model's work, is left out for all others, and so is the copy of its result.
 */
import { AttuneError } from '../../errors.ts';
import type { Compiled, Knob } from '../../hooks/compile/index.ts';
import {
  changeGraph,
  changeModel,
  changeNode,
  DataType,
  GraphIndex,
  makeNode,
  type Node,
} from '../../hooks/onnx/index.ts';

const LOGITS = 'logits';

/** int64 [n]: positions of a call whose logits come out, in this order. */
export const wantedRows: Knob = {
  name: 'attune.sweep.rows',
  elemType: DataType.INT64,
  shape: ['attune.sweep.rows:n'],
  neutral: { dims: [1], data: BigInt64Array.of(0n) },
};

/** Whatever acts on each number alone may come after the choice of rows as well as before it. */
const ELEMENTWISE = new Set(['Cast', 'Identity', 'Mul', 'Div', 'Tanh']);
/** Products whose left side keeps its leading axes; those that quantise their left side as a whole are not among them. */
const PRODUCTS = new Set(['MatMul', 'MatMulNBits']);

/**
 * `logits` becomes [B, n, V]. The rows are taken before the last product where that is a plain one, else after it.
 * @throws AttuneError SWEEP_NO_LOGITS
 */
export function withWantedRows({ model, knobs, ...compiled }: Compiled): Compiled {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const made = index.producer(LOGITS)?.node;
  if (!made || !index.isOutput(LOGITS)) {
    throw new AttuneError('SWEEP_NO_LOGITS', {
      found: `the outputs ${graph.outputs
        .map(({ name }) => name)
        .slice(0, 4)
        .join(', ')}, …`,
      expected: '"logits"',
      hint: 'Calibration by prediction needs a causal language model.',
    });
  }
  const product = lastProduct(index, made);
  const changes = new Map<Node, Node>();
  const gather = (value: string, output: string) =>
    makeNode('Gather', [value, wantedRows.name], [output], { name: output, attributes: { axis: 1 } });
  let chosen: Node;
  if (product) {
    chosen = gather(product.inputs[0]!, 'attune.sweep.hidden');
    changes.set(product, changeNode(product, { inputs: [chosen.outputs[0]!, ...product.inputs.slice(1)] }));
  } else {
    chosen = gather('attune.sweep.all_logits', LOGITS);
    const outputs = made.outputs.map((name) => (name === LOGITS ? 'attune.sweep.all_logits' : name));
    changes.set(made, changeNode(made, { outputs }));
  }
  const nodes = graph.nodes.flatMap((node) => {
    const changed = changes.get(node);
    if (!changed) return [node];
    return product ? [chosen, changed] : [changed, chosen];
  });
  const input = { name: wantedRows.name, elemType: wantedRows.elemType, shape: wantedRows.shape };
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
  const valueInfos = graph.valueInfos.filter(({ name }) => !touched.has(name));
  return {
    ...compiled,
    knobs: [...knobs, wantedRows],
    model: changeModel(model, {
      graph: changeGraph(graph, { nodes, outputs, valueInfos, inputs: [...graph.inputs, input] }),
    }),
  };
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
