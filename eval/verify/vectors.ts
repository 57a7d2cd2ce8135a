/** Golden vectors of statistics, which no attention has to be run for: computed as calibration computes them. */
import { copyScore, echoAndInduction, needleRecall } from '../../calibration/statistics/copying.ts';
import { columnMeans, sinkShare } from '../../calibration/statistics/sinks.ts';
import { massiveActivations } from '../../kernels/detect/index.ts';
import type { GoldenCase } from '../../kernels/golden/index.ts';
import { block, build, type Tensor, tensor } from '../../kernels/reference/tensor.ts';
import type { VerifyOptions } from './golden-vectors.ts';

type Checks = NonNullable<ReturnType<NonNullable<VerifyOptions['others']>>>;
type Comparisons = Awaited<Checks>;
type Content<F extends GoldenCase['family']> = Extract<GoldenCase, { family: F }>['content'];

/** @returns undefined for families that are checked elsewhere, or not built */
export function checkStatistics(golden: GoldenCase): Checks | undefined {
  if (golden.family === 'sink_metric') return Promise.resolve(sinkMetric(golden.content));
  if (golden.family !== 'retrieval_heads') return undefined;
  const { content } = golden;
  if (content.kind === 'copy') return Promise.resolve(copies(content));
  return content.kind === 'echoInduction' ? Promise.resolve(echoes(content)) : undefined;
}

/** α, the share of sinks by ε, and massive activations; dormant heads follow from α. */
function sinkMetric({ config, inputs, expected }: Content<'sink_metric'>): Comparisons {
  const { attention, hidden } = inputs;
  const [samples, L, H, T] = attention.shape as [number, number, number, number];
  const alphas = new Map<string, Float64Array>();
  for (let s = 0; s < samples; s++) {
    for (let l = 0; l < L; l++) {
      for (let h = 0; h < H; h++) alphas.set([s, l, h].join(), columnMeans(block(attention, s, l, h), T));
    }
  }
  const alpha = build([samples, L, H, T], (s, l, h, t) => alphas.get([s, l, h].join())![t!]!);
  const shares = config.epsilons.map((epsilon) => {
    const share = sinkShare([...alphas.values()], epsilon);
    return {
      name: `sink share, ε ${epsilon}`,
      actual: tensor([T], share),
      expected: expected.sink[String(epsilon)]!,
    };
  });
  const layers = hidden.shape[0]!;
  const found = Array.from({ length: layers }, (_, layer) => {
    const [, tokens, channels] = hidden.shape as [number, number, number];
    const state = tensor([tokens, channels], block(hidden, layer));
    return massiveActivations(state).map(([token, channel]) => [layer, token, channel]);
  }).flat();
  const list = (rows: readonly (readonly number[])[]) => tensor([rows.length, 3], rows.flat());
  return [
    { name: 'alpha', actual: alpha, expected: expected.alpha },
    ...shares,
    { name: 'massive', actual: list(found), expected: list(expected.massive.map((row) => row.slice(0, 3))) },
  ];
}

function copies(content: Extract<Content<'retrieval_heads'>, { kind: 'copy' }>): Comparisons {
  const { config, promptIds, needleStart, needleEnd, emittedIds, attention, expected } = content;
  const score = (l: number, h: number) =>
    copyScore({
      promptIds,
      needles: [[needleStart, needleEnd]],
      emittedIds,
      row: (step) => block(attention[step]!, l, h),
    });
  const table = (which: 'frequency' | 'set') =>
    build([config.layers, config.qHeads], (l, h) => score(l!, h!)[which]);
  const recall = needleRecall(promptIds.slice(needleStart, needleEnd), emittedIds);
  return [
    { name: 'frequencyScore', actual: table('frequency'), expected: expected.frequencyScore },
    { name: 'setScore', actual: table('set'), expected: expected.setScore },
    {
      name: 'needleTokenRecall',
      actual: scalar(recall),
      expected: scalar(Number(expected.needleTokenRecall)),
    },
  ];
}

function echoes(content: Extract<Content<'retrieval_heads'>, { kind: 'echoInduction' }>): Comparisons {
  const { tokenIds, attention, expected } = content;
  const scores = Array.from({ length: attention.shape[0]! }, (_, h) =>
    echoAndInduction(block(attention, h), tokenIds),
  );
  const of = (which: 'echo' | 'induction') =>
    tensor(
      [scores.length],
      scores.map((one) => one[which]),
    );
  return [
    { name: 'echo', actual: of('echo'), expected: expected.echo },
    { name: 'induction', actual: of('induction'), expected: expected.induction },
  ];
}

function scalar(value: number): Tensor {
  return tensor([1], [value]);
}
