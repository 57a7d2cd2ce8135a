/** Calls of one row take a short way in the graphs of every form it is for: a condition that never holds would not show. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compile } from '../hooks/compile/index.ts';
import { modelFacts } from '../hooks/model/facts.ts';
import { openModel } from '../onnx/index.ts';
import { loadFixture } from '../testbed/fixtures/load.ts';
import { act, visualRedistribution } from './index.ts';

const VAR = visualRedistribution({ dimensions: [6, 14, 18], tau: 2.2, layers: 'all' });

test.each([
  ['llama-gqa', 'model.onnx', act({ heads: 'all' })],
  ['llama-gqa', 'model_fp16.onnx', act({ heads: 'all' })],
  ['llama-opset23', 'model.onnx', act({ heads: 'all' })],
  ['qwen2-gqa', 'model.onnx', act({ heads: 'all' })],
  ['llava-gqa', 'decoder_model_merged.onnx', VAR],
  ['llava', 'decoder_model_merged.onnx', VAR],
] as const)('%s, %s', async (name, path, intervention) => {
  const { folder } = loadFixture(name);
  const file = await openModel(join(folder, 'onnx', path));
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const facts = modelFacts(file, config);
  const { model } = compile(
    facts.recognition,
    intervention.kind.plan(facts, intervention.kind.variant?.(intervention)),
  );
  const choices = model.graph.nodes.filter(({ opType, name }) => opType === 'If' && /\.rows\.If/.test(name));
  expect(choices).toHaveLength(facts.decoder.length);
  for (const { attributes } of choices) {
    const short = attributes.find(({ name }) => name === 'then_branch')!.g!.nodes;
    expect(short.filter(({ opType }) => opType.endsWith('Attention'))).toEqual([]);
    expect(short.length).toBeLessThan(60);
    expect(short.filter(({ domain }) => domain === 'attune')).toEqual([]);
  }
  file.close();
});
