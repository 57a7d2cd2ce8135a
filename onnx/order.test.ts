import fc from 'fast-check';
import { expect, test } from 'vitest';
import { executionOrder, GraphIndex, makeGraph, makeNode, type Node } from './index.ts';

const index = (nodes: Node[]) => new GraphIndex(makeGraph('g', { nodes, inputs: [], outputs: [] }));
const chain = (length: number) =>
  Array.from({ length }, (_, i) => makeNode('Relu', [i === 0 ? 'x' : `v${i}`], [`v${i + 1}`]));

test('a sorted file keeps its order', () => {
  expect(executionOrder(index(chain(50)))).toEqual(Array.from({ length: 50 }, (_, i) => i));
});

test('every permutation of a chain comes out in chain order', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(chain(12), { minLength: 12, maxLength: 12 }), (nodes) => {
      const ordered = executionOrder(index(nodes)).map((position) => nodes[position]!.outputs[0]);
      expect(ordered).toEqual(chain(12).map((node) => node.outputs[0]));
    }),
  );
});

test('a cycle names its nodes', () => {
  const nodes = [
    makeNode('Add', ['a', 'c'], ['b'], { name: 'first' }),
    makeNode('Relu', ['b'], ['c'], { name: 'second' }),
  ];
  expect(() => executionOrder(index(nodes))).toThrow(/ONNX_CYCLE.*first \(Add\), second \(Relu\)/);
});

test('values captured by a sub-graph order its node', () => {
  const body = makeGraph('then', { nodes: [makeNode('Relu', ['late'], ['r'])], inputs: [], outputs: [] });
  const nodes = [
    makeNode('If', ['c'], ['y'], { attributes: { then_branch: body } }),
    makeNode('Relu', ['x'], ['late']),
  ];
  expect(executionOrder(index(nodes))).toEqual([1, 0]);
});

test('a value made twice is an error that names both nodes, except for left-over constants', () => {
  const twice = [
    makeNode('Relu', ['x'], ['y'], { name: 'one' }),
    makeNode('Exp', ['x'], ['y'], { name: 'two' }),
  ];
  expect(() => index(twice)).toThrow(/ONNX_DUPLICATE_VALUE.*two.*one/);
  const constants = [1, 2].map((value) =>
    makeNode('Constant', [], ['c'], { attributes: { value_int: value } }),
  );
  expect(index(constants).producer('c')?.position).toBe(1);
});
