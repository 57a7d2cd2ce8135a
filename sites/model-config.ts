/** What config.json of a Hub folder says of heads and layers, in the spellings of its model families. */
import type { Refusal, ResidualLayer } from './site.ts';

export type ModelConfig = Readonly<Record<string, unknown>>;

const LAYERS = [
  ...['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers', 'num_decoder_layers'],
  ...['decoder_layers', 'encoder_layers', 'depth'],
];

const HEADS = ['num_attention_heads', 'n_head', 'n_heads', 'num_heads', 'encoder_attention_heads'];

/** Values of the keys here and in nested configurations (text_config, vision_config, …). */
function numbers(config: ModelConfig, keys: readonly string[]): Set<number> {
  const found = new Set<number>();
  for (const [key, value] of Object.entries(config)) {
    if (typeof value === 'number' && keys.includes(key)) found.add(value);
    else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const nested of numbers(value as ModelConfig, keys)) found.add(nested);
    }
  }
  return found;
}

/** The number of heads, where the configuration knows only one. */
export function configuredHeads(config: ModelConfig | undefined): number | undefined {
  const [heads, ...more] = config ? numbers(config, HEADS) : [];
  return more.length === 0 ? heads : undefined;
}

function listed(counts: readonly number[]): string {
  return counts.length <= 8
    ? counts.join(' and ')
    : `${counts.slice(0, 8).join(', ')} and ${counts.length - 8} more numbers of`;
}

/**
 * A warning when no tower has a number of layers the configuration names. Vision towers may be exported up to the
 * layer whose features are used (vision_feature_layer −2: the last but one).
 */
export function layerWarning(
  config: ModelConfig | undefined,
  residual: readonly ResidualLayer[],
): Refusal | undefined {
  const expected = config ? numbers(config, LAYERS) : new Set<number>();
  if (!config || expected.size === 0 || residual.length === 0) return undefined;
  const feature = config.vision_feature_layer;
  if (typeof feature === 'number' && feature < 0)
    for (const layers of [...expected]) expected.add(layers + feature + 1);
  const counts = new Map<string, number>();
  for (const { tower, layer } of residual) counts.set(tower, Math.max(counts.get(tower) ?? 0, layer + 1));
  const found = [...counts.values()];
  if (found.some((count) => expected.has(count))) return undefined;
  return {
    code: 'LAYER_COUNT',
    level: 'warn',
    node: 'file',
    reason: `${listed(found)} layers with attention found, config.json speaks of ${[...expected].join(' or ')}`,
  };
}
