/**
 * The largest of a row of logits and Σ exp(x − largest), which scoring spends its time on beside the model: a vocabulary has some
 * 10⁵ tokens, each scored token needs the sum over all of them, and Math.exp takes some 2 ms for it. Large rows are therefore
 * given to a graph of three operators, whose vector instructions need a fifth of that. Its terms are float32 and are added up
 * in groups of 128, the groups in float64.
 */
import {
  assemble,
  bytesSource,
  DataType,
  encodeModel,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
} from '../../hooks/onnx/index.ts';
import { loadRuntime } from '../../hooks/session/index.ts';

export interface LogitSum {
  largest: number;
  /** NaN where the row has a NaN, or infinity for its largest. */
  sum: number;
}

const GROUP = 128;
/** Rows shorter than this are summed here sooner than a session is called. */
const SHORT = 4096;

/** Of logits[offset .. offset + V]. */
export async function logitSum(logits: Float32Array, offset: number, V: number): Promise<LogitSum> {
  const row = logits.subarray(offset, offset + V);
  if (V < SHORT) return sumHere(row);
  const grouped = V - (V % GROUP);
  started ??= start();
  const { session, Tensor } = await started;
  const feeds = { logits: new Tensor('float32', row.subarray(0, grouped), [grouped / GROUP, GROUP]) };
  const { largest, sums } = await session.run(feeds);
  const head = { largest: (largest!.data as Float32Array)[0]!, sum: 0 };
  for (const group of sums!.data as Float32Array) head.sum += group;
  return grouped === V ? head : joined([head, row], [sumHere(row.subarray(grouped)), row]);
}

/** Of two parts of a row, on the scale of the larger one. */
function joined(...parts: readonly [LogitSum, Float32Array][]): LogitSum {
  const largest = Math.max(...parts.map(([part]) => part.largest));
  const sum = parts.reduce((total, [part, row]) => {
    // Nothing but −∞, tokens that are cut off, has no sum of its own; nor has NaN.
    if (part.largest === Number.NEGATIVE_INFINITY) return row.some(Number.isNaN) ? Number.NaN : total;
    return total + part.sum * Math.exp(part.largest - largest);
  }, 0);
  return { largest, sum };
}

function sumHere(row: Float32Array): LogitSum {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of row) if (value > largest) largest = value;
  let sum = 0;
  for (const value of row) sum += Math.exp(value - largest);
  return { largest, sum };
}

let started: ReturnType<typeof start> | undefined;

/** One thread: what it does is short, and the others are the model's. */
async function start() {
  const { InferenceSession, Tensor } = await loadRuntime();
  const float = (name: string, ...shape: (number | string)[]) => makeValueInfo(name, DataType.FLOAT, shape);
  const graph = makeGraph('logit sums', {
    inputs: [float('logits', 'G', GROUP)],
    outputs: [float('largest', 1, 1), float('sums', 'G', 1)],
    nodes: [
      makeNode('ReduceMax', ['logits'], ['largest'], { attributes: { axes: [0, 1], keepdims: 1 } }),
      makeNode('Sub', ['logits', 'largest'], ['below']),
      makeNode('Exp', ['below'], ['terms']),
      // What is added is not negative; unlike ReduceSum this takes its axes as an attribute, like ReduceMax.
      makeNode('ReduceL1', ['terms'], ['sums'], { attributes: { axes: [1], keepdims: 1 } }),
    ],
  });
  const model = makeModel(graph, { '': 13 });
  const bytes = await assemble(encodeModel(model), bytesSource(new Uint8Array(0)));
  return { session: await InferenceSession.create(bytes, { intraOpNumThreads: 1 }), Tensor };
}
