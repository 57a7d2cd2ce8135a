/**
 * What is lost without a head (AttentionInfluence, arXiv 2505.07293): the loss with the head's rows made uniform, or
 * its output set to zero, less the loss of the baseline.
 */
import type { ModelFacts } from '../../hooks/model/index.ts';
import { headAblation } from '../../interventions/index.ts';
import type { Measurement } from '../sweep/measure.ts';
import type { Sweep, SweepItem } from '../sweep/sweep.ts';

/** Nats; texts that are nearly certain would make any change look large. */
const LEAST_LOSS = 0.1;

/** The paper's score of a text: (L_ablated − L) / L. */
export const relativeRise = (loss: number, ablated: number): number =>
  (ablated - loss) / Math.max(loss, LEAST_LOSS);

/** Mean −ln p over the tokens of an item's requests. */
export function lossOf({ requests }: SweepItem, { logLikelihoods }: Measurement): number {
  const tokens = requests.reduce((sum, { continuation }) => sum + continuation.length, 0);
  return -logLikelihoods.reduce((sum, value) => sum + value, 0) / tokens;
}

/**
 * Every head switched off alone, in one sweep.
 * @returns mean rise of the loss over items, nats a token, [layer][head]; negative: the model is better without it
 */
export async function headInfluence(
  sweep: Sweep,
  items: readonly SweepItem[],
  kind: 'uniform' | 'zero' = 'uniform',
): Promise<number[][]> {
  const heads = headsOf(sweep.facts);
  const settings = heads.map((head) => headAblation({ heads: [head], kind }));
  const [baseline, ...ablated] = await sweep.run(items, [undefined, ...settings], `${kind} ablation`);
  const base = items.map((item, i) => lossOf(item, baseline![i]!));
  const rises = ablated.map(
    (measured) => measured.reduce((sum, one, i) => sum + lossOf(items[i]!, one) - base[i]!, 0) / items.length,
  );
  const table = sweep.facts.decoder.map(({ numHeads }) => new Array<number>(numHeads).fill(0));
  heads.forEach(([layer, head], i) => {
    table[layer]![head] = rises[i]!;
  });
  return table;
}

const headsOf = ({ decoder }: ModelFacts): [number, number][] =>
  decoder.flatMap(({ numHeads }, layer) =>
    Array.from({ length: numHeads }, (_, head): [number, number] => [layer, head]),
  );
