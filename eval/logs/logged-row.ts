/** A row made from another tool's log: what pairing and measuring need, without what only a run of ours knows. */
import type { Terms } from '../metrics/metric.ts';
import { contentHash } from '../runner/content-hash.ts';
import type { Row } from '../runner/row.ts';
import { baseline } from '../runner/setting.ts';
import { noCost } from '../scoring/language-model.ts';

export interface Logged {
  readonly model: string;
  readonly task: string;
  /** What the log tells apart under one task (a filter, a scorer); undefined where there is one: the baseline. */
  readonly variant: string | undefined;
  /** Equal for the same question in another log of the same tool. */
  readonly question: unknown;
  readonly item: string;
  readonly cluster?: string;
  /** Of the sample, in its file. */
  readonly at: string;
  readonly terms: Record<string, Terms>;
}

export function loggedRow({ variant, question, terms, ...own }: Logged): Row {
  const specHash = variant === undefined ? baseline.specHash : contentHash([variant]);
  const content = contentHash(question);
  return {
    ...own,
    key: contentHash([own.model, own.task, specHash, content]),
    setting: variant ?? baseline.label,
    specHash,
    content,
    logLikelihoods: [],
    terms: Object.fromEntries(Object.entries(terms).map(([name, [n, d]]) => [name, [n, d]])),
    truncated: false,
    unparsable: false,
    cost: { ...noCost, residentBytes: 0 },
  };
}
