/**
 * Statistics of every head: what its maps look like on given sequences, whether it copies, what is lost without it.
 * One number for each layer and head.
 */
import { AttuneError } from '../../errors.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { Sweep, type SweepItem, type SweepOptions } from '../sweep/sweep.ts';
import type { SessionOptions } from '../sweep/sweep-session.ts';
import { copyScore, echoAndInduction, needleRecall, occurrences } from './copying.ts';
import { headInfluence } from './influence.ts';
import { PatternReader } from './pattern-reader.ts';
import { meanRowEntropy } from './row-entropy.ts';
import { columnMeans, SINK_EPSILON } from './sinks.ts';
import { classShares, internalSinks, TOKEN_CLASSES } from './token-classes.ts';

/** [layer][head] */
export type HeadTable = number[][];

/** Groups that are measured together. */
export const STATISTICS = {
  sink: 'attention to the first token, and further sinks',
  entropy: 'how widely rows look',
  attention: 'shares of attention by the kind of key',
  induction: 'echo and induction on random tokens said again',
  retrieval: 'copying the answer out of the prompt',
  influence: 'rise of the loss when a head is switched off',
} as const;
/** Statistics that are measured together. */
export type StatisticGroup = keyof typeof STATISTICS;

/** What statistics are measured on. */
export interface HeadData {
  /** Token sequences of one length, for sink, entropy and attention. */
  readonly sequences: readonly (readonly number[])[];
  /** Which tokens are punctuation. */
  readonly isPunctuation: (token: number) => boolean;
  /** Random tokens said several times, for induction. */
  readonly repeated: readonly (readonly number[])[];
  /** Prompts with their right answers, for retrieval. */
  readonly answers: readonly { readonly prompt: readonly number[]; readonly answer: readonly number[] }[];
  /** What is predicted, for influence. */
  readonly texts: readonly SweepItem[];
}

/** How statistics are measured. */
export interface HeadStatisticsOptions extends SessionOptions {
  /** How heads are switched off for influence; default uniform. */
  readonly ablation?: 'uniform' | 'zero';
  /** Journal and batch size of the measurements of influence. */
  readonly sweep?: Omit<SweepOptions, keyof SessionOptions>;
  /** After each sequence that was read, of so many. */
  readonly onProgress?: (progress: { done: number; total: number; step: string }) => void;
}

/**
 * One number for each layer and head: what its maps look like, whether it copies, what is lost without it.
 *
 * @example const { sink } = await headStatistics(model.attune.facts, ['sink'], data); // sink[layer][head]
 *
 * @returns tables by name: sink, sink-rate, internal-sinks, entropy, attention.<class>, echo, induction, retrieval,
 *   influence; those of the groups asked for
 * @throws AttuneError STATISTIC_NO_DATA naming the group
 */
export async function headStatistics(
  facts: ModelFacts,
  groups: readonly StatisticGroup[],
  data: HeadData,
  options: HeadStatisticsOptions = {},
): Promise<Record<string, HeadTable>> {
  const mean = new Means(facts);
  const { onProgress } = options;
  await using reader = await PatternReader.open(facts, options);
  const read = async <T>(step: string, list: readonly T[], visit: (one: T) => Promise<void>) => {
    for (const [i, one] of list.entries()) {
      await visit(one);
      onProgress?.({ step, done: i + 1, total: list.length });
    }
  };
  const ofMaps = groups.filter((group) => ['sink', 'entropy', 'attention'].includes(group));
  if (ofMaps.length > 0) {
    need(data.sequences, ofMaps[0]!, 'sequences that are long enough');
    await read('patterns', data.sequences, async (ids) => {
      const { T, map } = await reader.read(ids);
      const punctuation = ids.map(data.isPunctuation);
      mean.add((layer, head) =>
        statisticsOfMap(ofMaps, map(layer, head), T, punctuation, windowOf(facts, layer)),
      );
    });
  }
  if (groups.includes('induction')) {
    need(data.repeated, 'induction', 'repeated sequences');
    await read('induction', data.repeated, async (ids) => {
      const { map } = await reader.read(ids);
      mean.add((layer, head) => ({ ...echoAndInduction(map(layer, head), ids) }));
    });
  }
  if (groups.includes('retrieval')) await retrieval(reader, data, mean, read);
  const tables = mean.tables();
  if (groups.includes('influence')) {
    need(data.texts, 'influence', 'text to predict');
    const { runtime, session, sweep, ablation } = options;
    await using engine = new Sweep(facts, {
      ...(runtime && { runtime }),
      ...(session && { session }),
      ...(onProgress && { onProgress }),
      ...sweep,
    });
    tables.influence = await headInfluence(engine, data.texts, ablation);
  }
  return tables;
}

const windowOf = ({ decoder }: ModelFacts, layer: number): number => {
  const { window } = decoder[layer]!;
  return window && window > 0 ? window : Number.POSITIVE_INFINITY;
};

function statisticsOfMap(
  groups: readonly StatisticGroup[],
  map: Float32Array,
  T: number,
  punctuation: readonly boolean[],
  window: number,
): Record<string, number> {
  const result: Record<string, number> = {};
  if (groups.includes('sink')) {
    const alpha = columnMeans(map, T, window);
    result.sink = alpha[0]!;
    result['sink-rate'] = alpha[0]! > SINK_EPSILON ? 1 : 0;
    result['internal-sinks'] = internalSinks(alpha);
  }
  if (groups.includes('entropy')) result.entropy = meanRowEntropy(map, T);
  if (groups.includes('attention')) {
    const shares = classShares(map, T, punctuation);
    for (const name of TOKEN_CLASSES) result[`attention.${name}`] = shares[name];
  }
  return result;
}

/**
 * Greedy decoding writes the answer exactly if every token of it is the likeliest after those before it, so one pass
 * over prompt and answer tells, and holds the rows that predicted each token. Other prompts do not count.
 */
async function retrieval(
  reader: PatternReader,
  { answers }: HeadData,
  mean: Means,
  read: <T>(step: string, list: readonly T[], visit: (one: T) => Promise<void>) => Promise<void>,
): Promise<void> {
  const needles = answers
    .map((one) => ({ ...one, needles: occurrences(one.answer, one.prompt) }))
    .filter((one) => one.needles.length > 0);
  need(needles, 'retrieval', 'prompts that hold their answer, token by token');
  let counted = 0;
  await read('retrieval', needles, async ({ prompt, answer, needles: places }) => {
    const ids = [...prompt, ...answer.slice(0, -1)];
    const positions = answer.map((_, step) => prompt.length - 1 + step);
    const { T, map, logits } = await reader.read(ids, positions);
    const V = logits.length / positions.length;
    const emittedIds = positions.map((_, step) => largest(logits.subarray(step * V, (step + 1) * V)));
    if (needleRecall(answer, emittedIds) < 1) return;
    counted += 1;
    mean.add((layer, head) => {
      const own = map(layer, head);
      const row = (step: number) => {
        const at = positions[step]!;
        return own.subarray(at * T, at * T + at + 1);
      };
      return { retrieval: copyScore({ promptIds: prompt, needles: places, emittedIds, row }).frequency };
    });
  });
  if (counted > 0) return;
  throw new AttuneError('STATISTIC_NO_DATA', {
    at: 'retrieval',
    found: `${needles.length} prompts that hold their answer, of which the model wrote none`,
    expected: 'at least one answered right',
  });
}

function largest(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

function need(list: readonly unknown[], at: string, expected: string): void {
  if (list.length > 0) return;
  throw new AttuneError('STATISTIC_NO_DATA', { at, found: 'none', expected });
}

/** Running means by name, layer and head. */
class Means {
  readonly #facts: ModelFacts;
  readonly #sums = new Map<string, { sum: HeadTable; count: number }>();

  constructor(facts: ModelFacts) {
    this.#facts = facts;
  }

  add(values: (layer: number, head: number) => Record<string, number>): void {
    const touched = new Set<{ count: number }>();
    this.#facts.decoder.forEach(({ numHeads }, layer) => {
      for (let head = 0; head < numHeads; head++) {
        for (const [name, value] of Object.entries(values(layer, head))) {
          const entry = this.#sums.get(name) ?? { sum: this.#empty(), count: 0 };
          this.#sums.set(name, entry);
          entry.sum[layer]![head]! += value;
          touched.add(entry);
        }
      }
    });
    for (const entry of touched) entry.count += 1;
  }

  #empty(): HeadTable {
    return this.#facts.decoder.map(({ numHeads }) => new Array<number>(numHeads).fill(0));
  }

  tables(): Record<string, HeadTable> {
    const entries = [...this.#sums].map(([name, { sum, count }]) => [
      name,
      sum.map((row) => row.map((value) => value / count)),
    ]);
    return Object.fromEntries(entries);
  }
}
