/**
 * ln Σ exp(x) over a row of logits, which scoring spends its time on beside the model: a vocabulary has some 10⁵ tokens, each
 * scored token needs the sum over all of them, and Math.exp takes some 2 ms for it. Large rows are therefore given to a graph
 * of two operators, Exp and a product with ones that adds up groups of 128, whose vector instructions need a tenth of that.
 *
 * Nothing is subtracted first, which would be another pass over the row: float32 holds the sum as long as the largest logit is
 * between −60 and about 75. Where it is not, the sum tells, and the row is added up here, on the scale of its largest.
 */
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
} from '../../hooks/onnx/index.ts';
import { loadRuntime } from '../../hooks/session/index.ts';

const GROUP = 128;
/** Rows of one run: its terms are another 600 KB for each of a large vocabulary. */
const ROWS = 8;
/** Rows shorter than this are summed here sooner than a session is called. */
const SHORT = 4096;
/** Sums below have terms that float32 cannot tell from 0. */
const LEAST = Math.exp(-60);

/**
 * Of each row; −∞ where it has nothing else.
 * @param logits float32 [n, V].
 * @returns [n] nats; NaN where the row has a NaN or +∞.
 */
export async function logSumExp(logits: Float32Array, V: number): Promise<number[]> {
  const rows = Array.from({ length: logits.length / V }, (_, i) => logits.subarray(i * V, (i + 1) * V));
  if (V < SHORT) return rows.map(logSumExpHere);
  // Rows with a remainder do not follow each other in groups.
  const together = V % GROUP === 0 ? ROWS : 1;
  const all: number[] = [];
  for (let first = 0; first < rows.length; first += together) {
    all.push(...(await sumsOf(rows.slice(first, first + together), V)));
  }
  return all.map((sum, i) =>
    sum > LEAST && sum < Number.POSITIVE_INFINITY ? Math.log(sum) : logSumExpHere(rows[i]!),
  );
}

/** Σ exp(x) of rows that follow each other. */
async function sumsOf(rows: readonly Float32Array[], V: number): Promise<number[]> {
  started ??= start();
  const { session, Tensor } = await started;
  const G = Math.floor(V / GROUP);
  const { buffer, byteOffset } = rows[0]!;
  const values = new Float32Array(buffer, byteOffset, rows.length * G * GROUP);
  const { sums } = await session.run({ logits: new Tensor('float32', values, [rows.length * G, GROUP]) });
  const groups = sums!.data as Float32Array;
  return rows.map((row, i) => {
    let sum = 0;
    for (let g = i * G; g < (i + 1) * G; g++) sum += groups[g]!;
    for (const logit of row.subarray(G * GROUP)) sum += Math.exp(logit);
    return sum;
  });
}

function logSumExpHere(row: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of row) if (logit > largest) largest = logit;
  if (largest === Number.NEGATIVE_INFINITY) return row.some(Number.isNaN) ? Number.NaN : largest;
  let sum = 0;
  for (const logit of row) sum += Math.exp(logit - largest);
  return largest + Math.log(sum);
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
