/** ACT, ZeroTuning and PINE. */
import { documents } from '../../edits/documents.ts';
import { logWeights } from '../../edits/log-weights.ts';
import { sinkCalibration } from '../../edits/sink-calibration/index.ts';
import { attention } from '../../reference/attention.ts';
import { rope } from '../../reference/re-position.ts';
import { documentSpans, importance, keyPositions, layoutQueries } from '../../reference/segments.ts';
import { at, block, build, type Tensor, tensor } from '../../reference/tensor.ts';
import { leftPadding } from '../../reference/visibility.ts';
import { type Comparison, logWeightsOf, type Solve } from '../check.ts';
import type { GoldenCase } from '../read.ts';

type Content<F extends GoldenCase['family']> = Extract<GoldenCase, { family: F }>['content'];

export async function checkAct({ params, inputs, expected }: Content<'act'>, solve: Solve) {
  const { q, k, v, state_col_sum, state_col_count } = inputs;
  const { heads, beta, stats, exclude, threshold } = params;
  const [H, T] = [q.shape[1]!, k.shape[2]!];
  const one = (value: number) => tensor([1, 1], [value]);
  const values: Record<string, Tensor> = {
    beta: build([1, H], (_, h) => (heads.includes(h!) ? beta : 1)),
    tau: one(threshold.mode === 'absolute' ? threshold.tau : 0),
    alpha: one(threshold.mode === 'relative' ? threshold.alpha : 0),
    first: inputs.pad_left,
  };
  if (inputs.frozen_sinks) values.sinks = inputs.frozen_sinks;
  if (state_col_sum && state_col_count) {
    values.past_column_sum = state_col_sum;
    values.past_column_count = perHead(state_col_count);
  }
  const { output, probs, baseOutput, baseProbs, found, states } = await solve({
    q,
    k,
    v,
    mask: { keys: leftPadding([...inputs.pad_left.data], T) },
    edits: [{ edit: sinkCalibration.with({ stats, exclude }), values }],
  });
  const comparisons: Comparison[] = [
    { name: 'output', actual: output, expected: expected.output },
    { name: 'base_output', actual: baseOutput, expected: expected.base_output },
    { name: 'probs', actual: probs, expected: expected.probs },
    { name: 'base_probs', actual: baseProbs, expected: expected.base_probs },
    { name: 'sinks', actual: found?.sinks, expected: expected.sinks },
  ];
  if (expected.score) comparisons.push({ name: 'score', actual: found?.score, expected: expected.score });
  if (expected.state_col_sum && expected.state_col_count) {
    comparisons.push(
      { name: 'state_col_sum', actual: states?.column_sum, expected: expected.state_col_sum },
      {
        name: 'state_col_count',
        actual: states?.column_count,
        expected: perHead(expected.state_col_count),
      },
    );
  }
  return comparisons;
}

/** (B, T) as (B, 1, T). */
function perHead(count: Tensor): Tensor {
  return tensor([count.shape[0]!, 1, count.shape[1]!], count.data);
}

export function checkZeroTuning(content: Content<'zerotuning'>, solve: Solve) {
  if (content.kind === 'zerotuning') return checkGamma(content, solve);
  return content.kind === 'zerotuning_key_scale' ? checkKeyScale(content, solve) : undefined;
}

type Gamma = Extract<Content<'zerotuning'>, { kind: 'zerotuning' }>;
type KeyScale = Extract<Content<'zerotuning'>, { kind: 'zerotuning_key_scale' }>;

async function checkGamma({ params, inputs, expected }: Gamma, solve: Solve): Promise<Comparison[]> {
  const { q, k, v } = inputs;
  const first = [...inputs.pad_left.data];
  const T = k.shape[2]!;
  const { start, end } = params.tokens.mode === 'range' ? params.tokens : { start: 0, end: 1 };
  const keys = build([first.length, T], (b, t) => Number(t! >= first[b]! + start && t! < first[b]! + end));
  const solution = await solve({
    q,
    k,
    v,
    mask: { keys: leftPadding(first, T) },
    edits: [
      { edit: logWeights.with({ keys: 'given' }), values: { keys, log_weight: logWeightsOf(params.gammas) } },
    ],
  });
  const { baseProbs } = solution;
  const mass =
    baseProbs &&
    build(expected.set_mass.shape, (b, h, s) =>
      block(baseProbs, b!, h!, s!).reduce((sum, p, t) => sum + at(keys, b!, t) * p, 0),
    );
  return [
    { name: 'output', actual: solution.output, expected: expected.output },
    { name: 'base_output', actual: solution.baseOutput, expected: expected.base_output },
    { name: 'probs', actual: solution.probs, expected: expected.probs },
    { name: 'set_mass', actual: mass, expected: expected.set_mass },
  ];
}

/** A scaled initial key is a logit bias of (c - 1) times the key's own logit. */
async function checkKeyScale({ params, inputs, expected }: KeyScale, solve: Solve): Promise<Comparison[]> {
  const { q, k, v } = inputs;
  const { scores } = attention(q, k, v);
  const bias = build(scores.shape, (b, h, s, t) =>
    t === 0 ? (params.factors[h!]! - 1) * at(scores, b!, h!, s!, 0) : 0,
  );
  const solution = await solve({ q, k, v, bias });
  return [
    { name: 'output', actual: solution.output, expected: expected.output },
    { name: 'probs', actual: solution.probs, expected: expected.probs },
  ];
}

export async function checkPine({ params, inputs, expected }: Content<'pine'>, solve: Solve) {
  const { q_unrotated: q, k_unrotated: k, v } = inputs;
  const segments = { prefix: params.prefix_len, documents: params.doc_lens };
  const { spans, end } = documentSpans(segments);
  const bounds = tensor([1, spans.length + 1], [...spans.map(([start]) => start), end]);
  const solution = await solve({
    q,
    k,
    v,
    rope: rope(params.rope_theta, q.shape[3]!),
    edits: [{ edit: documents.with({ mode: 'pine' }), values: { bounds } }],
  });
  const layout = layoutQueries(q, k, segments);
  const weights = importance(q, k, segments);
  const nested = (order: readonly (readonly number[][])[], shape: readonly number[]) =>
    tensor(shape, order.flat(2));
  const comparisons: Comparison[] = [
    { name: 'output', actual: solution.output, expected: expected.output },
    {
      name: 'order_suffix',
      actual: nested(layout.orderSuffix, expected.order_suffix.shape),
      expected: expected.order_suffix,
    },
  ];
  if (expected.probs) comparisons.push({ name: 'probs', actual: solution.probs, expected: expected.probs });
  if (expected.order_docs && layout.orderDocs) {
    const actual = nested(layout.orderDocs, expected.order_docs.shape);
    comparisons.push({ name: 'order_docs', actual, expected: expected.order_docs });
  }
  if (expected.key_positions) {
    const actual = keyPositions(layout, segments, k.shape[2]!);
    comparisons.push({ name: 'key_positions', actual, expected: expected.key_positions });
  }
  if (expected.importance_suffix) {
    const actual = tensor(expected.importance_suffix.shape, weights.suffix.data);
    comparisons.push({ name: 'importance_suffix', actual, expected: expected.importance_suffix });
  }
  if (expected.importance_docs && weights.docs) {
    const known = (x: number) => (Number.isNaN(x) ? 0 : x);
    comparisons.push({
      name: 'importance_docs',
      actual: tensor(expected.importance_docs.shape, weights.docs.data.map(known)),
      expected: tensor(expected.importance_docs.shape, expected.importance_docs.data.map(known)),
    });
  }
  return comparisons;
}
