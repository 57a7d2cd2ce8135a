/** Every graph of the wide collection is written back byte for byte and has an execution order. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { assemble, encodeModel, executionOrder, GraphIndex, openModel } from '../index.ts';

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), '../../../../shared/onnx');
const present = existsSync(FOLDER);
if (!present)
  console.log('skipped: ../shared/onnx, a collection of exported graphs, is not beside this checkout');

test.runIf(present)('all graphs beside the checkout', async () => {
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
