/**
 * A piece of graph that computes named results, and a choice between two such pieces at run time. What the lowerings
 * of a site are put together from.
 */
import { type Emit, emitter, type Output } from '../../onnx/emitter.ts';
import { changeNode, type FunctionDef, type Node } from '../../onnx/index.ts';
import type { Lowered } from '../lowerings/lowered.ts';

export interface Part {
  readonly nodes: readonly Node[];
  readonly functions: ReadonlyMap<string, FunctionDef>;
  /** Value of each result, by what it is: 'z', 'presentK', 'sinks', … */
  readonly results: Readonly<Record<string, string>>;
}

type Pieces = readonly (Pick<Lowered, 'nodes'> & {
  readonly functions: Lowered['functions'] | Part['functions'];
})[];

/** Pieces one after another. */
export function joined(pieces: Pieces, results: Part['results']): Part {
  const definitions = pieces.flatMap(({ functions }) => [...functions.values()]);
  return {
    nodes: pieces.flatMap(({ nodes }) => nodes),
    functions: new Map(definitions.map((definition) => [definition.name, definition])),
    results,
  };
}

export interface Choice {
  /** Prefix of the results. */
  readonly name: string;
  readonly opset: number;
  /** bool, one element. */
  readonly condition: string;
  /** DataType of each result wanted; both parts must have them all. */
  readonly results: Readonly<Record<string, number>>;
}

/** Only the chosen part is computed. */
export function choose({ name, opset, condition, results }: Choice, yes: Part, no: Part): Part {
  const emit = emitter(opset, `${name}.`);
  const keys = Object.keys(results);
  const branch =
    ({ nodes, functions, results: values }: Part) =>
    (inner: Emit) => {
      inner.insert({ nodes, functions: functions.values() });
      return keys.map((key): Output => [values[key]!, results[key]!]);
    };
  const named = keys.map((key) => `${name}.${key}`);
  const outputs = emit.either(condition, branch(yes), branch(no), named);
  return joined([emit], Object.fromEntries(keys.map((key, i) => [key, outputs[i]!])));
}

/** The part with values called otherwise, in its outer nodes. */
export function renamed(part: Part, names: ReadonlyMap<string, string>): Part {
  const rename = (value: string) => names.get(value) ?? value;
  return {
    ...part,
    nodes: part.nodes.map((node) =>
      changeNode(node, { inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }),
    ),
    results: Object.fromEntries(Object.entries(part.results).map(([key, value]) => [key, rename(value)])),
  };
}
