/** Golden cases that are no attention: CHAIR, POPE, OPERA's penalties and rollbacks, ZeroTuning's search. */
import { typeHeads } from '../../calibration/search/head-types.ts';
import { entropy } from '../../calibration/sweep/distribution.ts';
import { chargedLogProbabilities, penaltyOf } from '../../interventions/opera/penalty.ts';
import { decideRollback } from '../../interventions/opera/rollback.ts';
import { type Stripes, stripeRow, strongest, withRow } from '../../interventions/opera/stripes.ts';
import type { Comparison } from '../../kernels/golden/check.ts';
import type { GoldenCase } from '../../kernels/golden/index.ts';
import { readYesNo, YES_NO_METRICS, type YesNoParser } from '../answers/yes-no.ts';
import { CAPTION_METRICS, scoreCaption, truthOf } from '../captions/chair.ts';
import { Vocabulary } from '../captions/vocabulary.ts';
import { termsOf } from '../metrics/index.ts';
import type { Terms } from '../metrics/metric.ts';

// biome-ignore lint/suspicious/noExplicitAny: each family has its own layout, which its reader left open
type Content = Record<'params' | 'inputs' | 'expected', any>;

/** Numbers that a case fixes, found and expected; undefined for cases that others check. */
export function otherFamilies({ family, content }: GoldenCase): Promise<Comparison[]> | undefined {
  const { kind } = content as { kind?: string };
  const check = { chair, pope, opera, zerotuning_selection, zerotuning_entropy }[
    kind && family === 'zerotuning' ? kind : (family as string)
  ];
  return check && Promise.resolve(check(content as Content));
}

const compared = (name: string, actual: readonly number[], expected: readonly number[]): Comparison => {
  const tensor = (values: readonly number[]) => ({ shape: [values.length], data: Float64Array.from(values) });
  // Another number of values is as wrong as can be, and says so.
  const found = actual.length === expected.length ? actual : expected.map(() => Number.NaN);
  return { name, actual: tensor(found), expected: tensor(expected) };
};

/** 1 where found and expected are the same thing. */
const same = (name: string, pairs: readonly (readonly [unknown, unknown])[]): Comparison =>
  compared(
    name,
    pairs.map(([found, expected]) => (JSON.stringify(found) === JSON.stringify(expected) ? 1 : 0)),
    pairs.map(() => 1),
  );

/** Σ numerators / Σ denominators; 0 of 0 is 0. */
function ratio(terms: readonly Terms[]): number {
  const [n, d] = terms.reduce<[number, number]>(([a, b], [c, e]) => [a + c, b + e], [0, 0]);
  return d === 0 ? 0 : n / d;
}

function chair({ params, inputs, expected }: Content): Comparison[] {
  const { synonyms: rows, double_words: phrases, lemmas } = params;
  const vocabulary = new Vocabulary({ rows, phrases, lemmas, besides: { seat: 'toilet' } });
  const truths = inputs.items.map((item: Content['inputs']) =>
    truthOf(item.gt_instances, item.gt_captions, vocabulary),
  ) as Set<string>[];
  const scores = truths.map((truth, i) => scoreCaption(inputs.items[i].caption, truth, vocabulary));
  const terms = scores.map((caption) => termsOf(CAPTION_METRICS, { caption }));
  const of = (metric: keyof (typeof terms)[0]) => ratio(terms.map((one) => one[metric]!));
  return [
    same(
      'objects',
      scores.flatMap(({ mentions, hallucinated }, i) => {
        const wanted = expected.per_caption[i];
        return [
          [[...truths[i]!].sort(), wanted.gt],
          [mentions.map(({ object }) => object), wanted.mentioned],
          [hallucinated.map(({ word, object }) => [word, object]), wanted.hallucinated],
        ] as const;
      }),
    ),
    compared(
      'figures',
      [
        scores.reduce((sum, { mentions }) => sum + mentions.length, 0),
        scores.reduce((sum, { hallucinated }) => sum + hallucinated.length, 0),
        ...[of('chair_s'), of('chair_i'), of('recall'), of('precision'), of('f1')],
        ratio(scores.map(({ tokens }) => [tokens, 1])),
      ],
      [
        ...[expected.mentions, expected.hallucinated_mentions, expected.CHAIR_S, expected.CHAIR_I],
        ...[expected.recall, expected.precision, expected.F1, expected.mean_tokens],
      ],
    ),
  ];
}

function pope({ params, inputs, expected }: Content): Comparison[] {
  const labels = (inputs.labels as number[]).map((label) => label === 1);
  const said = (inputs.answers as string[]).map((answer, i) =>
    readYesNo(answer, params.parser as YesNoParser, labels[i]!),
  );
  const terms = said.map((yes, i) => termsOf(YES_NO_METRICS, { yesNo: { said: yes, label: labels[i]! } }));
  const of = (metric: keyof (typeof terms)[0]) => ratio(terms.map((one) => one[metric]!));
  return [
    compared('answers', said.map(Number), expected.pred),
    compared(
      'figures',
      [of('acc'), of('precision'), of('recall'), of('f1'), of('yes_rate')],
      [expected.accuracy, expected.precision, expected.recall, expected.F1, expected.yes_ratio],
    ),
  ];
}

function opera({ params, inputs, expected }: Content): Comparison[] {
  if ('history' in inputs) return rollback({ params, inputs, expected });
  const { sigma, alpha, response_start: start } = params;
  const picture = [{ from: params.image_span[0], to: params.image_span[1] }];
  const comparisons: Comparison[] = [];
  for (const [beam, previous] of (inputs.prev_rows as { data: number[][][] }[]).entries()) {
    let stripes: Stripes = [];
    for (const [i, row] of previous.data.entries()) {
      // The file pads rows with zeros to one length.
      const seen = row.map((head) => head.slice(0, start + i + 1));
      stripes = withRow(stripes, stripeRow(seen.flat(), seen.length, start, picture), sigma);
    }
    const tried = (inputs.candidate_rows.data[beam] as number[][][]).map((row) => {
      const seen = stripeRow(row.flat(), row.length, start, picture);
      const columns = withRow(stripes, seen, sigma);
      return { ...seen, ...strongest(columns), length: columns.length };
    });
    const charged = (factor: number, shortResponse: number) =>
      chargedLogProbabilities(
        inputs.candidate_logits.data[beam],
        tried.map((one) => penaltyOf(one, { alpha, factor, shortResponse })),
        { alpha },
      );
    comparisons.push(
      compared(
        `weights of beam ${beam}`,
        tried.flatMap(({ response }) => response),
        expected.window.data[beam].flatMap((window: number[][]) => window.at(-1)!),
      ),
      compared(
        `ln φ of beam ${beam}`,
        tried.map(({ logPhi }) => logPhi),
        expected.log_phi.data[beam],
      ),
      compared(
        `location of beam ${beam}`,
        tried.map(({ column }) => column),
        expected.location.data[beam],
      ),
      compared(
        `picture of beam ${beam}`,
        tried.map((one) => one.picture),
        expected.image_mass.data[beam],
      ),
      compared(`ln p of beam ${beam}, paper`, charged(1, 0), expected.logprobs_paper.data[beam]),
      compared(
        `ln p of beam ${beam}, code`,
        charged(params.code_factor, params.code_short_response),
        expected.logprobs_code.data[beam],
      ),
    );
  }
  return comparisons;
}

function rollback({ params, inputs, expected }: Content): Comparison[] {
  const used = new Map(
    Object.entries((inputs.rollback_times ?? {}) as Record<string, number>).map(([at, n]) => [Number(at), n]),
  );
  const rules = {
    threshold: params.threshold,
    most: params.beta,
    minLocation: params.min_location,
    inclusive: false,
  };
  const { perBeam, target, counts, position } = decideRollback(
    inputs.history,
    inputs.candidate_locations,
    used,
    rules,
  );
  return [
    same('decision', [
      [perBeam, expected.per_beam],
      [target, expected.target],
      [counts, expected.counts],
      [position ?? null, expected.position],
    ]),
  ];
}

function zerotuning_selection({ params, inputs, expected }: Content): Comparison[] {
  const gains = Array.from(
    inputs.probe_accuracy.data as ArrayLike<number>,
    (accuracy) => accuracy - params.baseline,
  );
  const { types, dominant, selected } = typeHeads(gains, params.fraction);
  return [
    same('heads', [
      [types, expected.types],
      [dominant, expected.dominant],
      [selected, Array.from(expected.selected_heads)],
    ]),
  ];
}

function zerotuning_entropy({ params, inputs, expected }: Content): Comparison[] {
  const [settings, prompts, V] = inputs.logits.shape as [number, number, number];
  const logits = Float32Array.from(inputs.logits.data);
  const entropies = Array.from({ length: settings * prompts }, (_, i) => entropy(logits, i * V, V));
  const means = Array.from({ length: settings }, (_, i) =>
    entropies.slice(i * prompts, (i + 1) * prompts).reduce((a, b) => a + b / prompts, 0),
  );
  return [
    compared('entropy', entropies, Array.from(expected.entropy.data)),
    compared('mean entropy', means, Array.from(expected.mean_entropy.data)),
    same('best γ', [[params.grid[means.indexOf(Math.min(...means))], expected.best_gamma]]),
  ];
}
