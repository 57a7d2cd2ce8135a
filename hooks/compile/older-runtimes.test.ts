import { join } from 'node:path';
import { expect, test } from 'vitest';
import { zeroTuning } from '../../interventions/index.ts';
import { isBefore } from '../../kernels/lowerings/runtime-version.ts';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { modelFacts } from '../model/index.ts';
import { compile } from './index.ts';

const FILE = join(import.meta.dirname, '..', '..', 'testbed', 'fixtures', 'llama-gqa', 'onnx', 'model.onnx');

test('versions are compared by number', () => {
  expect(isBefore('1.9.0', '1.22')).toBe(true);
  expect(isBefore('1.21.0-dev', '1.22')).toBe(true);
  expect(isBefore('1.22.0', '1.22')).toBe(false);
  expect(isBefore('2.0.0', '1.22')).toBe(false);
  expect(isBefore(undefined, '1.22')).toBe(false);
});

test('before 1.22 GroupQueryAttention has nine inputs: no empty ones, and no bias', async () => {
  const file = await openModel(FILE);
  const facts = modelFacts(file, {});
  const grouped = (onnxruntime: string, plan = {}) =>
    compile(recognise(file.model), plan, { onnxruntime }).model.graph.nodes.filter(
      ({ opType }) => opType === 'GroupQueryAttention',
    );
  expect(grouped('1.30.0').map(({ inputs }) => inputs.length)).toEqual([12, 12]);
  expect(grouped('1.21.0').map(({ inputs }) => inputs.length)).toEqual([9, 9]);
  const tuned = compile(facts.recognition, zeroTuning.kind.plan(facts), { onnxruntime: '1.21.0' });
  const inputs = tuned.model.graph.nodes.flatMap((node) =>
    node.opType === 'GroupQueryAttention' ? [node.inputs.length] : [],
  );
  expect(inputs.every((count) => count <= 9)).toBe(true);
  file.close();
});
