/** Every graph of the wide collection is written back byte for byte and has an execution order. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { beside, onlyBeside } from '../../testbed/only-where.test-support.ts';
import { assemble, encodeModel, executionOrder, GraphIndex, openModel } from '../index.ts';

const FOLDER = beside('onnx');

onlyBeside('onnx').test('all graphs beside the checkout', async () => {
  const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.onnx'),
  );
  expect(files.length).toBeGreaterThan(0);
  for (const name of files) {
    const file = await openModel(join(FOLDER, name));
    const written = Buffer.from(await assemble(encodeModel(file.model), file.source));
    expect(written.equals(readFileSync(join(FOLDER, name))), name).toBe(true);
    expect(executionOrder(new GraphIndex(file.model.graph))).toHaveLength(file.model.graph.nodes.length);
    file.close();
  }
});
