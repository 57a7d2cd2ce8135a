/** What a search will measure, known before it begins. */
import type { ModelFacts } from '../../hooks/model/index.ts';
import type { Method } from '../calibrate.ts';
import { actLayers, actSearch } from './act.ts';
import { measurementsOf, roundsOf } from './halving.ts';
import { searchOptions } from './search.ts';
import { zeroTuningSettings } from './zerotuning.ts';

/** How much a search will measure. */
export interface SearchCost {
  /** Settings that are tried, the baseline apart. */
  readonly settings: number;
  /** Settings times items at most, baseline and held-out items included. */
  readonly measurements: number;
}

/**
 * What a search will measure, known before it begins.
 *
 * @example const { measurements } = searchCost(model.attune.facts, method, { search: 200, heldOut: 100 });
 *
 * @throws AttuneError SPEC_INVALID, LAYER_OUT_OF_RANGE
 */
export function searchCost(
  facts: ModelFacts,
  method: Method,
  { search, heldOut }: { search: number; heldOut: number },
): SearchCost {
  const around = search + 2 * heldOut;
  if (method.intervention === 'zerotuning') {
    const settings = zeroTuningSettings(facts, method.options);
    return { settings, measurements: settings * search + around };
  }
  const { layers, halvings } = searchOptions('act', actSearch, method.options ?? {});
  const heads = actLayers(layers, facts).reduce((sum, layer) => sum + facts.decoder[layer]!.numHeads, 0);
  const tried = measurementsOf(roundsOf(heads, search, halvings));
  // And all that are kept, together.
  return { settings: heads + 1, measurements: tried + search + around };
}
