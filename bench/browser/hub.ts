/**
 * A Hub for the browser check: ids of two words, revisions, and models made from the testbed's in the ways that files are cut up. It
 * lies on another origin than the page, as the real one does.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MODEL = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));

/** Above what attune keeps in memory. */
const LARGE = 17 * 2 ** 20;

/** A folder with `check/whole` (as the testbed has it) and `check/parts`, whose weights are in two files, one of them large. */
export function makeHub(root: string): void {
  for (const name of ['whole', 'parts']) {
    cpSync(MODEL, join(root, 'check', name, 'resolve', 'main'), { recursive: true });
  }
  const folder = join(root, 'check', 'parts', 'resolve', 'main', 'onnx');
  const graph = readFileSync(join(folder, 'model.onnx'));
  const [one, other] = [Buffer.from('model.onnx_data'), Buffer.from('model.onnx_more')];
  let turn = 0;
  for (let at = graph.indexOf(one); at >= 0; at = graph.indexOf(one, at + 1)) {
    if (turn++ % 2 === 1) other.copy(graph, at);
  }
  if (turn < 4) throw new Error('the graph names its weights less often than this check needs');
  writeFileSync(join(folder, 'model.onnx'), graph);
  const data = readFileSync(join(folder, 'model.onnx_data'));
  writeFileSync(
    join(folder, 'model.onnx_more'),
    Buffer.concat([data, Buffer.alloc(Math.max(0, LARGE - data.length))]),
  );
}
