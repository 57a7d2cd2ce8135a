/** Which caches may grow in place: the forms of real exporters, and what forbids it. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  changeGraph,
  changeModel,
  type Model,
  makeNode,
  makeValueInfo,
  openModel,
} from '../../../onnx/index.ts';
import { loadFixture } from '../../../testbed/fixtures/load.ts';
import { sharedCaches } from './shared-caches.ts';

async function modelOf(fixture: string): Promise<Model> {
  const file = await openModel(join(loadFixture(fixture).folder, 'onnx/model.onnx'));
  file.close();
  return file.model;
}

test.each(['llama-gqa', 'llama-gqa-separate', 'qwen2-gqa', 'phi3-gqa', 'gemma3-gqa'])(
  '%s: keys and values of every layer',
  async (fixture) => {
    const model = await modelOf(fixture);
    const caches = sharedCaches(model);
    const presents = model.graph.outputs.map(({ name }) => name).filter((name) => name.startsWith('present'));
    expect(caches.map(({ present }) => present).sort()).toEqual(presents.sort());
    expect(caches.length).toBeGreaterThan(0);
    for (const { past, present, mask } of caches) {
      expect(past.replace('past_key_values', 'present')).toBe(present);
      expect(mask).toBe('attention_mask');
    }
  },
);

test.each(['llama-eager', 'llama-mha', 'gpt2', 't5'])(
  '%s: none, its caches are joined by Concat',
  async (fixture) => {
    const name = fixture === 't5' ? 'decoder_model_merged' : 'model';
    const file = await openModel(join(loadFixture(fixture).folder, `onnx/${name}.onnx`));
    file.close();
    expect(sharedCaches(file.model)).toEqual([]);
  },
);

/** The model with one more node, and its output fetched. */
function withReader(model: Model, opType: string, value: string): Model {
  const node = makeNode(opType, [value], ['seen']);
  const { graph } = model;
  return changeModel(model, {
    graph: changeGraph(graph, {
      nodes: [...graph.nodes, node],
      outputs: [...graph.outputs, makeValueInfo('seen', 1, ['n'])],
    }),
  });
}

test.each([
  ['Shape', 'past_key_values.0.key'],
  ['Identity', 'past_key_values.0.value'],
  ['Identity', 'present.0.key'],
])('%s of %s: the shape of the buffer would be seen, so that layer keeps its own', async (opType, value) => {
  const model = await modelOf('llama-gqa');
  const all = sharedCaches(model);
  const left = sharedCaches(withReader(model, opType, value));
  expect(left).toEqual(all.filter(({ present }) => !present.startsWith('present.0.')));
  expect(left).toHaveLength(all.length - 2);
});
