/** Every metric there is, one line each; reports show them in this order. docs/evaluation.md explains them. */
import { acc } from './acc.ts';
import { accBytes } from './acc-bytes.ts';
import { accMutualInfo } from './acc-mutual-info.ts';
import { accNorm } from './acc-norm.ts';
import { accWritten } from './acc-written.ts';
import { amberChair } from './amber-chair.ts';
import { bitsPerByte } from './bits-per-byte.ts';
import { bytePerplexity } from './byte-perplexity.ts';
import { chairI } from './chair-i.ts';
import { chairS } from './chair-s.ts';
import { choiceMass } from './choice-mass.ts';
import { cog } from './cog.ts';
import { consistency } from './consistency.ts';
import { contains } from './contains.ts';
import { cover } from './cover.ts';
import { coverage } from './coverage.ts';
import { exactMatch } from './exact-match.ts';
import { f1 } from './f1.ts';
import { firstRate } from './first-rate.ts';
import { hal } from './hal.ts';
import { length } from './length.ts';
import { mc2 } from './mc2.ts';
import type { Metric, Terms } from './metric.ts';
import type { OutcomeKind, Outcomes } from './outcomes.ts';
import { pairAcc } from './pair-acc.ts';
import { pairAccStrict } from './pair-acc-strict.ts';
import { perplexity } from './perplexity.ts';
import { precision } from './precision.ts';
import { recall } from './recall.ts';
import { wordPerplexity } from './word-perplexity.ts';
import { writtenRate } from './written-rate.ts';
import { yesRate } from './yes-rate.ts';

const registry = [
  acc,
  accNorm,
  accBytes,
  accMutualInfo,
  mc2,
  accWritten,
  writtenRate,
  choiceMass,
  exactMatch,
  contains,
  f1,
  precision,
  recall,
  yesRate,
  chairS,
  chairI,
  coverage,
  length,
  amberChair,
  cover,
  hal,
  cog,
  pairAcc,
  pairAccStrict,
  consistency,
  firstRate,
  perplexity,
  wordPerplexity,
  bytePerplexity,
  bitsPerByte,
] as const;

export type MetricName = (typeof registry)[number]['name'];

/** Metrics by name. */
export const metrics = Object.fromEntries(
  registry.map((metric) => [metric.name, metric]),
) as unknown as Readonly<Record<MetricName, Metric<MetricName>>>;

export const isMetric = (name: string): name is MetricName => Object.hasOwn(metrics, name);

/** Names of the metrics that outcomes of any of these kinds have terms for. */
export const metricsOf = (...kinds: readonly OutcomeKind[]): MetricName[] =>
  registry.filter(({ of }) => kinds.some((kind) => kind in of)).map(({ name }) => name);

/**
 * What an item adds to metrics. Of several kinds of outcome the first that a metric knows counts; a metric that knows none, or
 * has nothing to add, is left out.
 */
export function termsOf(
  names: readonly MetricName[],
  outcomes: Partial<Outcomes>,
): Partial<Record<MetricName, Terms>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const terms = termsBy(metrics[name], outcomes);
      return terms ? [[name, terms]] : [];
    }),
  );
}

function termsBy({ of }: Metric, outcomes: Partial<Outcomes>): Terms | undefined {
  const kind = (Object.keys(outcomes) as OutcomeKind[]).find(
    (one) => outcomes[one] !== undefined && of[one] !== undefined,
  );
  // A kind's outcome goes to the same kind's function, which types of unions cannot say.
  return kind && (of[kind] as (outcome: unknown) => Terms | undefined)(outcomes[kind]);
}
