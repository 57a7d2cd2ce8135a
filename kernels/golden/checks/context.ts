/** TempScale, and the compensation token of RazorAttention. */
import { logWeights } from '../../edits/log-weights.ts';
import { temperature } from '../../edits/temperature.ts';
import { block, build, map as each, type Tensor, tensor } from '../../reference/tensor.ts';
import { type Comparison, logWeightsOf, type Solve } from '../check.ts';
import type { GoldenCase } from '../read.ts';

type Content<F extends GoldenCase['family']> = Extract<GoldenCase, { family: F }>['content'];

/** One temperature for all heads, bidirectional. T5 divides its position bias too and has no 1/√d. */
export async function checkTempscale(content: Content<'tempscale'>, solve: Solve): Promise<Comparison[]> {
  const { config, inputs, expected } = content;
  const { q, k, v } = inputs;
  const [B, H, T, D] = q.shape as [number, number, number, number];
  const a = tensor([1, H], Array(H).fill(1 / expected.tau));
  const bias =
    expected.kind === 't5'
      ? tensor([1, ...inputs.bias.shape], each(inputs.bias, (x) => x / expected.tau).data)
      : undefined;
  const solution = await solve({
    q,
    k,
    v,
    scale: expected.kind === 't5' ? 1 : 1 / Math.sqrt(D),
    mask: { causal: false, keys: build([B, T], (b, t) => Number(t! < config.lengths[b!]!)) },
    bias,
    edits: [{ edit: temperature.with(), values: { a } }],
  });
  return config.lengths.flatMap((length, b): Comparison[] => {
    const { probs } = solution;
    const map = probs && build([H, length, length], (h, s, t) => block(probs, b, h!, s!)[t!]!);
    const output = build(
      [length, H * D],
      (s, i) => block(solution.output, b, Math.floor(i! / D), s!)[i! % D]!,
    );
    return [
      { name: `out[${b}]`, actual: output, expected: expected.out[b]! },
      { name: `probs[${b}]`, actual: map, expected: expected.probs[b]! },
    ];
  });
}

type Compensation = Extract<Content<'retrieval_heads'>, { kind: 'compensation' }>;

/** The dropped keys become one key and value, their means, whose logit is raised by ln(number dropped). */
export async function checkCompensation(content: Compensation, solve: Solve): Promise<Comparison[]> {
  const { scale, q, k, v, keptIds, droppedIds, expected } = content;
  const D = q.shape[0]!;
  const mean = (x: Tensor) =>
    build([D], (d) => droppedIds.reduce((sum, t) => sum + block(x, t)[d!]!, 0) / droppedIds.length);
  const [key, value] = [mean(k), mean(v)];
  const joined = (x: Tensor, extra: Tensor) =>
    build([1, 1, keptIds.length + 1, D], (_b, _h, t, d) => {
      return t! < keptIds.length ? block(x, keptIds[t!]!)[d!]! : extra.data[d!]!;
    });
  const solution = await solve({
    q: tensor([1, 1, 1, D], q.data),
    k: joined(k, key),
    v: joined(v, value),
    scale,
    mask: { causal: false },
    edits: [
      {
        edit: logWeights.with({ keys: 'given' }),
        values: {
          keys: build([1, keptIds.length + 1], (_, t) => Number(t === keptIds.length)),
          log_weight: logWeightsOf([droppedIds.length]),
        },
      },
    ],
  });
  return [
    { name: 'meanKey', actual: key, expected: expected.meanKey },
    { name: 'meanValue', actual: value, expected: expected.meanValue },
    { name: 'compensatedOut', actual: tensor([D], solution.output.data), expected: expected.compensatedOut },
  ];
}
