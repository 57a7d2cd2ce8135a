/**
 * ACT's selection of heads (Yu et al., arXiv 2406.15765): each head calibrated alone, and kept if that raises the mean
 * over data sets of their accuracies. The code of this step is not public; the rule (gain > margin) is the toolkit's.
 * As in the released lists the first two layers are left alone by default.
 */
import { z } from 'zod';
import type { Intervention, ModelFacts } from '../../hooks/model/index.ts';
import { layerSet } from '../../interventions/heads.ts';
import { act } from '../../interventions/index.ts';
import type { Raced } from './halving.ts';
import { gain, type Value } from './objective.ts';
import { layersOf, type SearchContext, type SearchResult, searchOptions, type Trial } from './search.ts';

export const actSearch = z.strictObject({
  layers: layerSet.optional().describe('layers whose heads are tried; default: all but the first two'),
  beta: z.number().min(0).lt(1).default(0.4).describe('share of its weight that a sink keeps'),
  threshold: z
    .union([
      z.strictObject({ tau: z.number().nonnegative().finite() }),
      z.strictObject({ alpha: z.number().nonnegative().finite() }),
    ])
    .default({ alpha: 5 })
    .describe('what is a sink (docs/interventions.md)'),
  statistics: z.enum(['running', 'frozen', 'row']).default('running'),
  exclude: z.enum(['initial', 'first_detected']).default('initial'),
  margin: z.number().nonnegative().default(0).describe('a head is kept if its gain is larger'),
  halvings: z
    .int()
    .nonnegative()
    .default(0)
    .describe(
      'halve the heads so often on few items before all are used; kept are then gains larger than their errors',
    ),
});
/** Options of the search for ACT's heads. */
export type ActSearch = z.input<typeof actSearch>;

/** A head, and its calibration alone. */
interface Head {
  readonly head: [layer: number, head: number];
  readonly setting: Intervention;
}

/** @throws AttuneError SPEC_INVALID, LAYER_OUT_OF_RANGE, and those of the sweep */
export async function searchAct(context: SearchContext, given: ActSearch = {}): Promise<SearchResult> {
  const { facts, evaluate } = context;
  const options = searchOptions('act', actSearch, given);
  const { margin, halvings, layers: chosen, ...parameters } = options;
  const layers = actLayers(chosen, facts);
  const [baseline] = (await evaluate([undefined], 'baseline')) as [Value];
  const trace: Trial[] = [{ step: 'baseline', ...baseline }];
  const heads = layers.flatMap((layer) =>
    Array.from({ length: facts.decoder[layer]!.numHeads }, (_, head): [number, number] => [layer, head]),
  );
  const alone = heads.map((head): Head => ({ head, setting: act({ ...parameters, heads: [head] }) }));
  const kept =
    halvings > 0 ? await raced(context, alone, options, trace) : await tried(context, alone, margin, trace);
  const result = { method: 'act', objective: 'accuracy', options: { ...options, layers }, trace } as const;
  if (kept.length === 0) {
    return { ...result, intervention: act({ ...parameters, beta: 1, heads: 'all' }), found: false };
  }
  const intervention = act({ ...parameters, heads: kept });
  const [together] = (await evaluate([intervention], 'together')) as [Value];
  trace.push({ step: 'together', spec: { heads: kept }, ...together });
  return { ...result, intervention, found: true };
}

/** Heads whose accuracy alone is better by more than the margin. */
async function tried(
  { evaluate }: SearchContext,
  alone: readonly Head[],
  margin: number,
  trace: Trial[],
): Promise<Head['head'][]> {
  const baseline = trace[0] as Value;
  const values = await evaluate(
    alone.map(({ setting }) => setting),
    'heads',
  );
  const gains = values.map((value) => gain('accuracy', value, baseline));
  alone.forEach(({ head }, i) => {
    trace.push({ step: 'head', spec: { heads: [head] }, ...values[i]!, gain: gains[i]! });
  });
  return alone.flatMap(({ head }, i) => (gains[i]! > margin ? [head] : []));
}

/** Heads that saw all items, and whose margins grew by more than their error. */
async function raced(
  { race }: SearchContext,
  alone: readonly Head[],
  { halvings, margin }: { readonly halvings: number; readonly margin: number },
  trace: Trial[],
): Promise<Head['head'][]> {
  const rows = await race(
    alone.map(({ setting }) => setting),
    halvings,
    'heads',
  );
  alone.forEach(({ head }, i) => {
    trace.push({ step: 'head', spec: { heads: [head] }, accuracy: null, entropy: null, ...rows[i]! });
  });
  const last = Math.max(...rows.map(({ items }) => items));
  const better = ({ items, gain, error }: Raced) => items === last && gain > error + margin;
  return alone.flatMap(({ head }, i) => (better(rows[i]!) ? [head] : []));
}

/** Layers whose heads are tried: those chosen, else all but the first two where there are more. */
export const actLayers = (chosen: 'all' | readonly number[] | undefined, facts: ModelFacts): number[] =>
  layersOf(chosen ?? 'all', facts).filter(
    (layer) => chosen !== undefined || layer >= 2 || facts.decoder.length <= 2,
  );
