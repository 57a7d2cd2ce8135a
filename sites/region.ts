/**
 * Single-entry regions: a sub-graph of element-wise arithmetic that computes one value from one other value and
 * side inputs. Normalisations and rotary embeddings written out in operators are such regions, in dozens of
 * spellings; what they share is the entry.
 */
import type { Node } from '../onnx/index.ts';
import type { Scope } from './scope.ts';

export interface Region {
  /** The value everything else in the region is computed from. */
  readonly entry: string;
  /** Nodes between entry and exit, last first. */
  readonly nodes: readonly Node[];
}

export interface RegionRules {
  /** Inputs of the node that carry the tensor; undefined where the region may not extend through the node. */
  inputs(node: Node): readonly string[] | undefined;
  /** Values that come from the side: constants, angle tables. */
  side(value: string): boolean;
  /** Whether the nodes seen so far make the region what is looked for. */
  complete(): boolean;
}

/** More nodes than the longest known spelling of a rotary embedding or a normalisation. */
const LARGEST = 64;

/** The nearest value that all paths back from `exit` pass through once the region is complete. */
export function singleEntry(scope: Scope, exit: string, rules: RegionRules): Region | undefined {
  const frontier = new Set([exit]);
  const nodes: Node[] = [];
  while (nodes.length < LARGEST) {
    if (frontier.size === 1 && nodes.length > 0 && rules.complete())
      return { entry: [...frontier][0]!, nodes };
    const last = latest(scope, frontier);
    if (last === undefined) return undefined;
    const node = scope.maker(last);
    const inputs = node && rules.inputs(node);
    if (!inputs) return undefined;
    frontier.delete(last);
    nodes.push(node);
    // All outputs of one node stand for it.
    for (const output of node.outputs) frontier.delete(output);
    for (const input of inputs) if (input !== '' && !rules.side(input)) frontier.add(input);
    if (frontier.size === 0) return undefined;
  }
  return undefined;
}

function latest(scope: Scope, values: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestPlace = -1;
  for (const value of values) {
    const place = scope.place(value);
    if (place > bestPlace) [best, bestPlace] = [value, place];
  }
  return best;
}
