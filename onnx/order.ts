/** Execution order: files may list nodes in any order, and some exporters do. */
import { AttuneError } from '../errors.ts';
import { capturedValues, describeNode, type GraphIndex, subgraphs } from './graph-index.ts';

/**
 * Positions into graph.nodes such that every node follows the makers of its inputs; stable where the file is
 * already sorted (Kahn's algorithm).
 *
 * @throws AttuneError ONNX_CYCLE naming nodes on the cycle
 */
export function executionOrder(index: GraphIndex): number[] {
  const { nodes } = index.graph;
  const dependents: number[][] = new Array(nodes.length);
  const waiting = new Int32Array(nodes.length);
  /** For each maker, the node that counted it last: a value used twice is waited for once. */
  const counted = new Int32Array(nodes.length).fill(-1);
  const wait = (position: number, name: string) => {
    const maker = index.producer(name)?.position;
    if (maker === undefined || counted[maker] === position) return;
    counted[maker] = position;
    waiting[position]!++;
    const list = dependents[maker];
    if (list) list.push(position);
    else dependents[maker] = [position];
  };
  for (let position = 0; position < nodes.length; position++) {
    const node = nodes[position]!;
    for (const name of node.inputs) wait(position, name);
    for (const graph of subgraphs(node)) {
      for (const name of capturedValues(graph)) wait(position, name);
    }
  }
  // One sweep in file order; nodes the sweep has passed while they were waiting are queued when they become ready.
  const order: number[] = [];
  const passed: number[] = [];
  for (let sweep = 0; sweep < nodes.length; sweep++) {
    if (waiting[sweep] === 0) passed.push(sweep);
    for (let next = passed.shift(); next !== undefined; next = passed.shift()) {
      order.push(next);
      for (const dependent of dependents[next] ?? []) {
        if (--waiting[dependent]! === 0 && dependent <= sweep) passed.push(dependent);
      }
    }
  }
  if (order.length < nodes.length) {
    const ordered = new Set(order);
    const stuck = nodes.filter((_, position) => !ordered.has(position)).slice(0, 4);
    throw new AttuneError('ONNX_CYCLE', {
      at: stuck.map(describeNode).join(', '),
      found: `${nodes.length - order.length} nodes that wait for each other`,
      expected: 'an acyclic graph',
      hint: 'The file was damaged or edited wrongly.',
    });
  }
  return order;
}
