/** Execution order: files may list nodes in any order, and some exporters do. */
import { AttuneError } from '../../errors.ts';
import { capturedValues, describeNode, type GraphIndex, subgraphs } from './graph-index.ts';

/**
 * Positions into graph.nodes such that every node follows the makers of its inputs; stable where the file is
 * already sorted (Kahn's algorithm).
 *
 * @throws AttuneError ONNX_CYCLE naming nodes on the cycle
 */
export function executionOrder(index: GraphIndex): number[] {
  const { nodes } = index.graph;
  const dependents: number[][] = nodes.map(() => []);
  const waiting = nodes.map((node, position) => {
    const makers = new Set<number>();
    const need = (name: string) => {
      const producer = index.producer(name);
      if (producer) makers.add(producer.position);
    };
    node.inputs.forEach(need);
    for (const graph of subgraphs(node)) capturedValues(graph).forEach(need);
    for (const maker of makers) dependents[maker]!.push(position);
    return makers.size;
  });
  // One sweep in file order; nodes the sweep has passed while they were waiting are queued when they become ready.
  const order: number[] = [];
  const passed: number[] = [];
  for (let sweep = 0; sweep < nodes.length; sweep++) {
    if (waiting[sweep] === 0) passed.push(sweep);
    for (let next = passed.shift(); next !== undefined; next = passed.shift()) {
      order.push(next);
      for (const dependent of dependents[next]!) {
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
