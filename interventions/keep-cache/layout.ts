/** Where the caches of a model are, and what tells a new token's position: read from its graph. */
import { AttuneError } from '../../errors.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import type { Site } from '../../sites/site.ts';

export interface LayerCache {
  /** Names of graph inputs, and of the outputs that come back as them. */
  readonly key: { readonly past: string; readonly present: string };
  readonly value: { readonly past: string; readonly present: string };
  readonly site: Site;
}

export interface CacheLayout {
  readonly layers: readonly LayerCache[];
  /** The graph is given positions; else a token's place in the cache is its position. */
  readonly fed: boolean;
}

const known = new WeakMap<ModelFacts, CacheLayout>();

/** @throws AttuneError INTERVENTION_REFUSED for a model whose caches cannot be shortened */
export function cacheLayout(model: ModelFacts): CacheLayout {
  const layout = known.get(model) ?? readLayout(model);
  known.set(model, layout);
  return layout;
}

function readLayout({ decoder, file, config }: ModelFacts): CacheLayout {
  if (config.is_encoder_decoder === true) throw refuse('the model', 'an encoder and a decoder');
  const { inputs, outputs } = file.model.graph;
  const outs = new Set(outputs.map(({ name }) => name));
  const layers = decoder.map((site) => {
    const at = `layer ${site.layer}`;
    if (site.window !== undefined) {
      throw refuse(at, `a sliding window of ${site.window} keys, which counts places in the cache`);
    }
    if (site.past?.layout !== 'BHPD') throw refuse(at, 'no cache of keys and values by head');
    const pair = (past: string) => ({ past, present: presentOf(past, outs, at) });
    return { key: pair(site.past.k), value: pair(site.past.v), site };
  });
  const positions = inputs.find(({ name }) => name === 'position_ids');
  if (positions?.shape && positions.shape.length !== 2) {
    throw refuse('position_ids', `positions of ${positions.shape.length} axes`);
  }
  const inside = decoder.some(({ rotary }) => rotary?.by === 'operator');
  if (!positions && decoder.some(({ rotary }) => rotary === undefined)) {
    throw refuse('the model', 'neither position_ids nor rotary positions');
  }
  return { layers, fed: positions !== undefined && !inside };
}

function presentOf(past: string, outputs: ReadonlySet<string>, at: string): string {
  const name = past.replace('past_key_values', 'present').replace(/^past_/, 'present_');
  if (outputs.has(name)) return name;
  throw refuse(at, `a cache ${past} without an output ${name}`);
}

export function refuse(at: string, found: string): AttuneError {
  return new AttuneError('INTERVENTION_REFUSED', {
    at: `keep-cache, ${at}`,
    found,
    expected: 'a decoder with caches of keys and values, [rows, heads, tokens, head size], in every layer',
    hint: '`attune inspect` shows what the file has.',
  });
}
