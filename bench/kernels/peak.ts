/** Peak memory of one expanded call at T = 8,192 with 32 heads, in a process of its own: prints bytes above the inputs. */
import { readFileSync } from 'node:fs';
import { expandedAttention } from '../../kernels/lowerings/expanded.ts';
import { openGroupQueryAttention } from '../../kernels/lowerings/group-query-attention.ts';
import { createRunner, type Feed } from '../../kernels/verify/runner.ts';
import { DataType, makeGraph, makeNode, makeValueInfo } from '../../onnx/index.ts';

const [H, K, D, S] = [32, 8, 64, 8192];

const node = makeNode(
  'com.microsoft.GroupQueryAttention',
  ['q', 'k', 'v', '', '', 'seqlens', 'total'],
  ['z', '', ''],
  {
    attributes: { num_heads: H, kv_num_heads: K },
  },
);
const { opening, site } = openGroupQueryAttention({
  name: 'site',
  opset: 21,
  elemType: DataType.FLOAT,
  node,
  D,
});
const { nodes, functions, opsets } = expandedAttention(site, { edits: [] });
const floats = (width: number): Feed => ({
  elemType: DataType.FLOAT,
  dims: [1, S, width],
  values: Float32Array.from({ length: S * width }, (_, i) => Math.sin(i * 0.7)),
});
const feeds = { q: floats(H * D), k: floats(K * D), v: floats(K * D) };
const graph = makeGraph('site', {
  nodes: [...opening.nodes, ...nodes],
  inputs: Object.entries(feeds).map(([name, { elemType, dims }]) =>
    makeValueInfo(name, elemType, [1, 'S', dims[2]!]),
  ),
  outputs: [makeValueInfo('z', DataType.FLOAT)],
});
await using runner = await createRunner('cpu', { threads: 0 });
const call = await runner.prepare({ graph, functions, opsets }, feeds);
const before = highWater();
await call();
console.log(highWater() - before);

/** Linux: the process's largest resident size so far, in bytes. */
function highWater(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}
