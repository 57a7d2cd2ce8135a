/**
 * ZeroTuning's search (Han et al., arXiv 2505.11739): a probe γ on each head, the dominant type, the heads that respond
 * most, then one γ for all of them from a grid on that type's side of 1. With labels by accuracy, without by the
 * entropy of the next token. Units of the probe as in the released code: a head index in all chosen layers (its mode 1),
 * each head of each layer (mode 0), whole layers (mode 2).
 */
import { z } from 'zod';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { layerSet } from '../../interventions/heads.ts';
import { zeroTuning } from '../../interventions/index.ts';
import { typeHeads } from './head-types.ts';
import { gain, type Objective, type Value } from './objective.ts';
import { layersOf, type SearchContext, type SearchResult, searchOptions, type Trial } from './search.ts';

const gamma = z.number().positive().finite();

export const zeroTuningSearch = z.strictObject({
  unit: z
    .enum(['head', 'layer-head', 'layer'])
    .default('head')
    .describe('what the probe acts on: a head index in all layers, one head of one layer, or one layer'),
  layers: layerSet.default('all').describe('layers that may be edited'),
  groups: z
    .enum(['none', 'thirds'])
    .default('none')
    .describe('thirds: search the lower, middle and upper third of the layers as well as all of them'),
  probe: gamma.gt(1).default(2).describe('γ of the probe'),
  fraction: z.number().gt(0).max(1).default(0.4).describe('share of all units that is tuned at most'),
  up: z.array(gamma.gt(1)).min(1).default([1.5, 2, 2.5, 3, 3.5, 4]).describe('grid for up-effective heads'),
  down: z
    .array(gamma.lt(1))
    .min(1)
    .default([0.75, 0.6, 0.5, 0.4, 0.3, 0.2])
    .describe('grid for down-effective heads; bounded, since entropy is not monotone in γ'),
});
/** Options of the search for ZeroTuning's γ and heads. */
export type ZeroTuningSearch = z.input<typeof zeroTuningSearch>;

/** Where γ acts: the parameters of zeroTuning beside γ. */
interface Place {
  readonly layers: number[];
  readonly heads?: number[] | [number, number][];
}

/** @throws AttuneError SPEC_INVALID, LAYER_OUT_OF_RANGE, and those of the sweep */
export async function searchZeroTuning(
  { facts, evaluate }: SearchContext,
  objective: Objective,
  given: ZeroTuningSearch = {},
): Promise<SearchResult> {
  const options = searchOptions('zerotuning', zeroTuningSearch, given);
  const layers = layersOf(options.layers, facts);
  const [baseline] = (await evaluate([undefined], 'baseline')) as [Value];
  const trace: Trial[] = [{ step: 'baseline', ...baseline }];
  const candidates: { place: Place; gamma: number; value: Value }[] = [];

  for (const set of options.groups === 'thirds' ? [layers, ...thirds(layers)] : [layers]) {
    const units = unitsOf(options.unit, set, facts.decoder[set[0]!]!.numHeads);
    const probes = units.map((place) => zeroTuning({ gamma: options.probe, ...place }));
    const probed = await evaluate(probes, 'probe');
    const responses = probed.map((value) => gain(objective, value, baseline));
    const { types, dominant, selected } = typeHeads(responses, options.fraction);
    units.forEach((place, i) => {
      const spec = { gamma: options.probe, ...place };
      trace.push({ step: 'probe', spec, ...probed[i]!, response: responses[i]!, type: types[i]! });
    });
    if (dominant === undefined) continue;
    const place = joined(selected.map((unit) => units[unit]!));
    const grid = options[dominant];
    const values = await evaluate(
      grid.map((strength) => zeroTuning({ gamma: strength, ...place })),
      'grid',
    );
    grid.forEach((strength, i) => {
      trace.push({ step: 'grid', spec: { gamma: strength, ...place }, ...values[i]! });
      candidates.push({ place, gamma: strength, value: values[i]! });
    });
  }
  // Of equals the one nearest to the baseline, which is a candidate itself.
  const best = candidates.reduce<(typeof candidates)[number] | undefined>((leader, next) => {
    const than = leader?.value ?? baseline;
    const better = gain(objective, next.value, than);
    if (better > 0) return next;
    const nearer = leader && Math.abs(Math.log(next.gamma)) < Math.abs(Math.log(leader.gamma));
    return better === 0 && nearer ? next : leader;
  }, undefined);
  return {
    method: 'zerotuning',
    objective,
    options,
    intervention: best ? zeroTuning({ gamma: best.gamma, ...best.place }) : zeroTuning({ gamma: 1 }),
    found: best !== undefined,
    trace,
  };
}

/** At most so many settings are tried. @throws AttuneError SPEC_INVALID, LAYER_OUT_OF_RANGE */
export function zeroTuningSettings(facts: ModelFacts, given: ZeroTuningSearch = {}): number {
  const options = searchOptions('zerotuning', zeroTuningSearch, given);
  const layers = layersOf(options.layers, facts);
  const sets = options.groups === 'thirds' ? [layers, ...thirds(layers)] : [layers];
  const grid = Math.max(options.up.length, options.down.length);
  return sets.reduce(
    (sum, set) => sum + unitsOf(options.unit, set, facts.decoder[set[0]!]!.numHeads).length + grid,
    0,
  );
}

function unitsOf(unit: 'head' | 'layer-head' | 'layer', layers: number[], H: number): Place[] {
  const heads = Array.from({ length: H }, (_, head) => head);
  if (unit === 'layer') return layers.map((layer) => ({ layers: [layer] }));
  if (unit === 'head') return heads.map((head) => ({ layers, heads: [head] }));
  return layers.flatMap((layer) => heads.map((head): Place => ({ layers: [layer], heads: [[layer, head]] })));
}

/** Units of one sort as one place. */
function joined(places: readonly Place[]): Place {
  const layers = [...new Set(places.flatMap((place) => place.layers))].sort((a, b) => a - b);
  const heads = places.flatMap((place): (number | [number, number])[] => place.heads ?? []);
  return heads.length > 0 ? { layers, heads: heads as number[] | [number, number][] } : { layers };
}

/** Lower, middle and upper third; as equal as they can be, without empty ones. */
function thirds(layers: readonly number[]): number[][] {
  const at = (i: number) => Math.round((layers.length * i) / 3);
  return [0, 1, 2].map((i) => layers.slice(at(i), at(i + 1))).filter(({ length }) => length > 0);
}
