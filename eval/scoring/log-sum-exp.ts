/**
 * ln Σ exp(x) over a row of logits, which scoring spends its time on beside the model: a vocabulary has some 10⁵ tokens, each
 * scored token needs the sum over all of them, and Math.exp takes some 2 ms for it. Large rows are therefore given to a graph
 * of two operators, Exp and a product with ones that adds up groups of 128, whose vector instructions need a tenth of that.
 *
 * Nothing is subtracted first, which would be another pass over the row: float32 holds the sum as long as the largest logit is
 * between −60 and about 75. Where it is not, the sum tells, and the row is added up here, on the scale of its largest.
 */
import { logSumExp } from '../../calibration/sweep/distribution.ts';
import { loadRuntime } from '../../hooks/session/index.ts';
import {
  assemble,
  bytesSource,
  DataType,
  encodeModel,
  floatTensor,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
} from '../../onnx/index.ts';

const GROUP = 128;
/** Rows of one run: its terms are another 600 KB for each of a large vocabulary. */
const ROWS = 8;
/** Rows shorter than this are summed here sooner than a session is called. */
const SHORT = 4096;
/** Sums below have terms that float32 cannot tell from 0. */
const LEAST = Math.exp(-60);

/**
 * Of each row.
 * @param logits float32 [n, V].
 * @returns [n] nats; NaN where the row has a NaN or +∞, or nothing but −∞.
 */
export async function logSumExps(logits: Float32Array, V: number): Promise<number[]> {
  const n = logits.length / V;
  const sums = V < SHORT ? new Array<number>(n).fill(Number.NaN) : await sumsOf(logits, n, V);
  return sums.map((sum, row) =>
    sum > LEAST && sum < Number.POSITIVE_INFINITY ? Math.log(sum) : logSumExp(logits, row * V, V),
  );
}

/** Σ exp(x) of each row. Rows with a remainder do not follow each other in groups, and are run one by one. */
async function sumsOf(logits: Float32Array, n: number, V: number): Promise<number[]> {
  started ??= start();
  const { session, Tensor } = await started;
  const G = Math.floor(V / GROUP);
  const most = V % GROUP === 0 ? ROWS : 1;
  const all: number[] = [];
  for (let first = 0; first < n; first += most) {
    const rows = Math.min(most, n - first);
    const values = logits.subarray(first * V, first * V + rows * G * GROUP);
    const { sums } = await session.run({ logits: new Tensor('float32', values, [rows * G, GROUP]) });
    const groups = sums!.data as Float32Array;
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (const group of groups.subarray(i * G, (i + 1) * G)) sum += group;
      const end = (first + i + 1) * V;
      for (const logit of logits.subarray(end - (V % GROUP), end)) sum += Math.exp(logit);
      all.push(sum);
    }
  }
  return all;
}

let started: ReturnType<typeof start> | undefined;

/** One thread: reading what the model has just written takes most of the time, and another thread takes none of it off. */
async function start() {
  const { InferenceSession, Tensor } = await loadRuntime();
  const float = (name: string, ...shape: (number | string)[]) => makeValueInfo(name, DataType.FLOAT, shape);
  const graph = makeGraph('sums of exponentials', {
    inputs: [float('logits', 'G', GROUP)],
    outputs: [float('sums', 'G', 1)],
    initializers: [floatTensor('ones', new Array(GROUP).fill(1), [GROUP, 1])],
    nodes: [makeNode('Exp', ['logits'], ['terms']), makeNode('MatMul', ['terms', 'ones'], ['sums'])],
  });
  const model = makeModel(graph, { '': 13 });
  const bytes = await assemble(encodeModel(model), bytesSource(new Uint8Array(0)));
  return { session: await InferenceSession.create(bytes, { intraOpNumThreads: 1 }), Tensor };
}
