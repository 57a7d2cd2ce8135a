/** VAR: the detector on hidden states, then the redistribution. */
import { phi } from '../../detect/massive-activations.ts';
import { sinkRedistribution } from '../../edits/sink-redistribution/index.ts';
import { GROUPS } from '../../edits/sink-redistribution/solve.ts';
import { at, build, map, type Tensor, tensor } from '../../reference/tensor.ts';
import type { Comparison, Solve } from '../check.ts';
import type { GoldenCase } from '../read.ts';

type Content = Extract<GoldenCase, { family: 'var' }>['content'];
type Attention = Extract<Content, { kind: 'attention' }>;
type Detector = Extract<Content, { kind: 'detector' }>;

export function checkVar(content: Content, solve: Solve): Promise<Comparison[]> {
  return content.kind === 'attention' ? checkAttention(content, solve) : checkDetector(content);
}

async function checkDetector({ params, inputs, expected }: Detector): Promise<Comparison[]> {
  const score = phi(inputs.hidden, params.sink_dims, params.rms_eps);
  const comparisons: Comparison[] = [{ name: 'phi', actual: score, expected: expected.phi }];
  const { tau } = params;
  if (expected.sink && tau !== undefined) {
    const actual = map(score, (x) => Number(x >= tau));
    comparisons.push({ name: 'sink', actual, expected: expected.sink });
  }
  return comparisons;
}

async function checkAttention({ params, inputs, expected }: Attention, solve: Solve): Promise<Comparison[]> {
  const { q, k, v, hidden, key_mask: keys } = inputs;
  const [B, , S] = q.shape as [number, number, number];
  const T = k.shape[2]!;
  // Padding is never a sink.
  const score = map(phi(hidden, params.sink_dims, params.rms_eps), (x, i) => (keys?.data[i] === 0 ? 0 : x));
  const sink = map(score, (x) => Number(x >= params.tau));
  const inside = (b: number, t: number) => t >= params.visual_span[b]![0] && t < params.visual_span[b]![1];
  const visual = build([B, T], (b, t) => Number(inside(b!, t!)));
  const eligible = build([B, S], (b, s) => Number(T - S + s! >= params.visual_span[b!]![1]));
  const { semantics, scale } = params;
  const one = (value: number) => tensor([1, 1], [value]);
  const values = {
    sink,
    visual,
    rows_from: tensor(
      [B],
      params.visual_span.map(([, end]) => end),
    ),
    p: one(params.p),
    rho: one(params.rho),
    min_visual: one(params.min_visual),
  };
  const solution = await solve({
    q,
    k,
    v,
    scale,
    mask: { keys },
    edits: [{ edit: sinkRedistribution.with({ semantics }), values }],
  });
  const { masses, weights } = solution;
  const of = (t: Tensor | undefined, ...groups: number[]) =>
    t && build(expected.mass_A.shape, (b, h, s) => groups.reduce((sum, g) => sum + at(t, b!, h!, s!, g), 0));
  const { textSink, visualSink, visual: receiving } = GROUPS;
  return [
    { name: 'phi', actual: score, expected: expected.phi },
    { name: 'sink', actual: sink, expected: expected.sink },
    { name: 'eligible', actual: eligible, expected: expected.eligible },
    { name: 'output', actual: solution.output, expected: expected.out },
    { name: 'base_output', actual: solution.baseOutput, expected: expected.out_base },
    { name: 'probs', actual: solution.probs, expected: expected.probs },
    { name: 'mass_A', actual: of(masses, receiving), expected: expected.mass_A },
    { name: 'mass_B', actual: of(masses, textSink, visualSink), expected: expected.mass_B },
    { name: 'visual_mass', actual: of(masses, visualSink, receiving), expected: expected.visual_mass },
    { name: 'gain_A', actual: of(weights, receiving), expected: expected.gain_A },
    { name: 'damp_B', actual: of(weights, textSink), expected: expected.damp_B },
  ];
}
