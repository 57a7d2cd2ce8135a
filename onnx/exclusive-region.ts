/**
 * The nodes that do nothing but lead to some values of a graph: what may move into one branch of an If, so that it is
 * computed only where that branch is taken.
 */
import type { GraphIndex, Node } from './index.ts';

/**
 * @param index of a graph whose nodes are in execution order
 * @param results values whose makers belong to the region, whoever uses them
 * @param elsewhere values that are used by nodes yet to come
 * @returns positions, ascending
 */
export function exclusiveRegion(
  index: GraphIndex,
  results: readonly string[],
  elsewhere: ReadonlySet<string>,
): number[] {
  const { nodes } = index.graph;
  const inside = new Set<number>();
  const candidates = new Set<number>();
  const enter = (position: number) => {
    inside.add(position);
    for (const name of usedBy(nodes[position]!)) {
      const maker = index.producer(name);
      if (maker && !inside.has(maker.position)) candidates.add(maker.position);
    }
  };
  const free = (name: string) =>
    !index.isOutput(name) &&
    !elsewhere.has(name) &&
    index.uses(name).every(({ position }) => inside.has(position));
  for (const name of results) {
    const maker = index.producer(name);
    if (maker) enter(maker.position);
  }
  // From the last candidate to the first: all users of its values have been decided by then.
  while (candidates.size > 0) {
    const position = Math.max(...candidates);
    candidates.delete(position);
    if (!inside.has(position) && nodes[position]!.outputs.every((name) => name === '' || free(name)))
      enter(position);
  }
  return [...inside].sort((a, b) => a - b);
}

/** Nodes with sub-graphs stay where they are unless they make a result, so that names inside need no care. */
function usedBy({ inputs }: Node): readonly string[] {
  return inputs.filter((name) => name !== '');
}
