/**
 * Every metric is a ratio of sums over items, finished by a function: accuracies are Σ right / Σ 1, perplexities
 * exp(Σ −ln p / Σ words). One form, so one bootstrap serves them all.
 */

import type { Metric } from '../tasks/definition.ts';
import type { AmberMetric } from './amber.ts';
import type { CaptionMetric } from './chair.ts';
import type { MetricKind } from './metric.ts';
import type { YesNoMetric } from './yes-no.ts';

const accuracy: MetricKind = { better: 'higher', binary: true, share: true, finish: (ratio) => ratio };
/** A share to which an item may contribute a part. */
const partial: MetricKind = { ...accuracy, binary: false };
const perplexity: MetricKind = { better: 'lower', binary: false, share: false, finish: Math.exp };

/** A share of some of what items contribute, which may be none: 0 of 0 is 0, as in the papers' tables. */
const ofSome: MetricKind = { ...partial, finish: (ratio) => (Number.isNaN(ratio) ? 0 : ratio) };

/** Every metric there is: those of tasks, and those that caption and answer files are scored by. */
export type AnyMetric = Metric | CaptionMetric | YesNoMetric | AmberMetric;

export const metricKinds: Record<AnyMetric, MetricKind> = {
  acc: accuracy,
  acc_norm: accuracy,
  acc_bytes: accuracy,
  acc_mutual_info: accuracy,
  mc2: partial,
  exact_match: accuracy,
  contains: accuracy,
  f1: ofSome,
  precision: ofSome,
  recall: ofSome,
  yes_rate: { ...accuracy, better: 'neither' },
  chair_s: { ...accuracy, better: 'lower' },
  chair_i: { ...ofSome, better: 'lower' },
  coverage: ofSome,
  length: { better: 'neither', binary: false, share: false, finish: (ratio) => ratio },
  amber_chair: { ...ofSome, better: 'lower' },
  cover: ofSome,
  hal: { ...accuracy, better: 'lower' },
  cog: { ...ofSome, better: 'lower' },
  pair_acc: partial,
  pair_acc_strict: accuracy,
  consistency: accuracy,
  first_rate: { ...partial, better: 'neither' },
  perplexity,
  word_perplexity: perplexity,
  byte_perplexity: perplexity,
  bits_per_byte: { better: 'lower', binary: false, share: false, finish: (ratio) => ratio / Math.LN2 },
};
