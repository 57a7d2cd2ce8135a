import { expect, test } from 'vitest';
import { softmax, valuesOf } from './attention.ts';
import { rope } from './re-position.ts';
import {
  basePositions,
  documentSpans,
  keyPositions,
  layoutQueries,
  rankDocuments,
  segmentScores,
  shiftsOf,
} from './segments.ts';
import { at, build, maxAbsError, type Tensor } from './tensor.ts';

const wave = (seed: number, ...shape: number[]) => {
  let i = seed;
  return build(shape, () => Math.sin(12.9898 * ++i) + Math.cos(4.1414 * i * i));
};
const documents = [2, 3, 1];
const segments = { prefix: 2, documents };
const T = 11;
const [q, k, v] = [wave(1, 1, 4, T, 8), wave(2, 1, 2, T, 8), wave(3, 1, 2, T, 8)];
const form = rope(10000, 8);

function run(q: Tensor, k: Tensor, v: Tensor, documents: readonly number[]) {
  const { scores, visible } = segmentScores(q, k, { prefix: 2, documents }, form);
  return valuesOf(softmax(scores, visible), v);
}

test('the most important document is nearest, ties keep the order, the own one comes first', () => {
  expect(rankDocuments(Float64Array.of(0.1, 0.5, 0.1))).toEqual([1, 0, 2]);
  expect(rankDocuments(Float64Array.of(0.1, Number.NaN, 0.2), 1)).toEqual([1, 2, 0]);
  expect(shiftsOf([1, 0, 2], documents)).toEqual([3, 0, 5]);
});

test('assigned positions tile the document block for every row', () => {
  const layout = layoutQueries(q, k, segments);
  const { end } = documentSpans(segments);
  const positions = keyPositions(layout, segments, T);
  const last = Array.from({ length: T }, (_, t) => at(positions, 0, 1, T - 1, t));
  expect([...last].sort((a, b) => a - b)).toEqual([...Array(T).keys()]);
  expect([...basePositions(segments, T).data]).toEqual([0, 1, 6, 7, 5, 6, 7, 7, 8, 9, 10]);
  expect(end).toBe(8);
});

test.each([[[1, 0, 2]], [[2, 1, 0]], [[1, 2, 0]]])(
  'the suffix does not depend on the order of the documents: %j',
  (order) => {
    const { spans } = documentSpans(segments);
    const tokens = [
      0,
      1,
      ...order.flatMap((j) => Array.from({ length: documents[j]! }, (_, o) => spans[j]![0] + o)),
      8,
      9,
      10,
    ];
    const permute = (x: Tensor) => build(x.shape, (b, n, t, d) => at(x, b!, n!, tokens[t!]!, d!));
    const permuted = run(
      permute(q),
      permute(k),
      permute(v),
      order.map((j) => documents[j]!),
    );
    expect(maxAbsError(permuted, permute(run(q, k, v, documents)))).toBeLessThan(1e-13);
  },
);

test('decoding one token equals having had it in the prompt', () => {
  const row = build([1, 4, 1, 8], (b, h, _s, d) => at(q, b!, h!, T - 1, d!));
  const all = run(q, k, v, documents);
  const last = build([1, 4, 1, 8], (b, h, _s, d) => at(all, b!, h!, T - 1, d!));
  expect(maxAbsError(run(row, k, v, documents), last)).toBeLessThan(1e-14);
});
