/** What is filled in, and what does not follow from the other inputs. */
import { expect, test } from 'vitest';
import { DataType, makeGraph, makeValueInfo } from '../../onnx/index.ts';
import { completeFeeds } from './feeds.ts';
import { loadRuntime } from './runtime.ts';

const runtime = await loadRuntime('node');
const withCache = (shape: (string | number)[]) =>
  makeGraph('decoder', {
    nodes: [],
    outputs: [],
    inputs: [
      makeValueInfo('input_ids', DataType.INT64, ['B', 'S']),
      makeValueInfo('past_key_values.0.key', DataType.FLOAT, shape),
    ],
  });

test('an empty cache is filled in, by the batch', () => {
  const feeds = completeFeeds(
    withCache(['B', 2, 'P', 4]),
    {
      input_ids: [
        [1, 2],
        [3, 4],
      ],
    },
    runtime,
  );
  expect(feeds['past_key_values.0.key']!.dims).toEqual([2, 2, 0, 4]);
});

test('a cache of a fixed length has to be given', () => {
  const run = () => completeFeeds(withCache([1, 2, 6, 4]), { input_ids: [[1, 2]] }, runtime);
  expect(run).toThrowError(expect.objectContaining({ code: 'INPUT_MISSING' }));
});
