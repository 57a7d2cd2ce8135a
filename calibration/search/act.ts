/**
 * ACT's selection of heads (Yu et al., arXiv 2406.15765): each head calibrated alone, and kept if that raises the mean
 * over data sets of their accuracies. The code of this step is not public; the rule (gain > margin) is the toolkit's.
 * As in the released lists the first two layers are left alone by default.
 */
import { z } from 'zod';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { layerSet } from '../../interventions/heads.ts';
import { act } from '../../interventions/index.ts';
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
export type ActSearch = z.input<typeof actSearch>;

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
  const alone = heads.map((head) => act({ ...parameters, heads: [head] }));
  let kept: [number, number][];
  if (halvings > 0 && context.race) {
    const raced = await context.race(alone, halvings, 'heads');
    heads.forEach((head, i) => {
      trace.push({
        step: 'head',
        spec: { heads: [head] },
        accuracy: null,
        entropy: Number.NaN,
        ...raced[i]!,
      });
    });
    const last = Math.max(...raced.map(({ items }) => items));
    kept = heads.filter((_, i) => raced[i]!.items === last && raced[i]!.gain > raced[i]!.error + margin);
  } else {
    const values = await evaluate(alone, 'heads');
    const gains = values.map((value) => gain('accuracy', value, baseline));
    heads.forEach((head, i) => {
      trace.push({ step: 'head', spec: { heads: [head] }, ...values[i]!, gain: gains[i]! });
    });
    kept = heads.filter((_, i) => gains[i]! > margin);
  }
  const result = { method: 'act', objective: 'accuracy', options: { ...options, layers }, trace } as const;
  if (kept.length === 0) {
    return { ...result, intervention: act({ ...parameters, beta: 1, heads: 'all' }), found: false };
  }
  const intervention = act({ ...parameters, heads: kept });
  const [together] = (await evaluate([intervention], 'together')) as [Value];
  trace.push({ step: 'together', spec: { heads: kept }, ...together });
  return { ...result, intervention, found: true };
}

/** Layers whose heads are tried: those chosen, else all but the first two where there are more. */
export const actLayers = (chosen: 'all' | readonly number[] | undefined, facts: ModelFacts): number[] =>
  layersOf(chosen ?? 'all', facts).filter(
    (layer) => chosen !== undefined || layer >= 2 || facts.decoder.length <= 2,
  );
