/** Parameters per layer and head: how users may write them, and the checks that name layer, head and bound. */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { ModelFacts } from '../hooks/model/index.ts';

/** Layers of the decoder: 'all', or their indices from 0. */
export type LayerSet = 'all' | number[];

/** Query heads: 'all', indices from 0 that are meant in every chosen layer, or [layer, head] pairs. */
export type HeadSet = 'all' | number[] | [layer: number, head: number][];

/** One number for all heads, one for each head (the same in every layer), or [layer][head]. */
export type PerHead = number | number[] | number[][];

/**
 * Schema of a LayerSet, for a parameter `layers`.
 * @example layers: layerSet.default('all')
 */
export const layerSet = z
  .union([z.literal('all'), z.array(z.int().nonnegative()).min(1)])
  .describe("layers of the decoder: 'all', or indices from 0");

/**
 * Schema of a HeadSet, for a parameter `heads`.
 * @example heads: headSet.default('all')
 */
export const headSet = z
  .union([
    z.literal('all'),
    z.array(z.int().nonnegative()).min(1),
    z.array(z.tuple([z.int().nonnegative(), z.int().nonnegative()])).min(1),
  ])
  .describe("query heads: 'all', indices in every chosen layer, or [layer, head] pairs, from 0");

/**
 * A table [layer][head] of the model's decoder, `neutral` outside the chosen layers and heads.
 *
 * @param value one number for all, one per head (same in every layer), or one per layer and head
 * @throws AttuneError LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, HEADS_MISMATCH
 */
export function headTable(
  model: ModelFacts,
  value: number | readonly number[] | readonly (readonly number[])[],
  { layers, heads, neutral }: { layers: LayerSet; heads: HeadSet; neutral: number },
): number[][] {
  const sites = model.decoder;
  const L = sites.length;
  const chosenLayers = layers === 'all' ? sites.map((_, layer) => layer) : layers;
  for (const layer of chosenLayers) {
    if (layer >= L) throw outOfRange('LAYER_OUT_OF_RANGE', `layer ${layer}`, `0 to ${L - 1}`);
  }
  if (typeof value !== 'number' && typeof value[0] !== 'number' && value.length !== L) {
    throw new AttuneError('HEADS_MISMATCH', {
      found: `${value.length} layers of values`,
      expected: `${L} layers`,
    });
  }
  const table = sites.map(({ numHeads }) => new Array<number>(numHeads).fill(neutral));
  for (const [layer, head] of chosenHeads(model, chosenLayers, heads)) {
    table[layer]![head] = valueAt(value, layer, head, sites[layer]!.numHeads);
  }
  return table;
}

function* chosenHeads(
  model: ModelFacts,
  layers: readonly number[],
  heads: HeadSet,
): Generator<[number, number]> {
  const check = (layer: number, head: number): [number, number] => {
    const site = model.decoder[layer];
    if (!site) throw outOfRange('LAYER_OUT_OF_RANGE', `layer ${layer}`, `0 to ${model.decoder.length - 1}`);
    if (head >= site.numHeads) {
      throw outOfRange('HEAD_OUT_OF_RANGE', `head ${head} in layer ${layer}`, `0 to ${site.numHeads - 1}`);
    }
    return [layer, head];
  };
  if (heads !== 'all' && Array.isArray(heads[0])) {
    for (const [layer, head] of heads as readonly [number, number][]) {
      if (layers.includes(layer)) yield check(layer, head);
      else check(layer, head);
    }
    return;
  }
  for (const layer of layers) {
    const all = Array.from({ length: model.decoder[layer]!.numHeads }, (_, head) => head);
    for (const head of heads === 'all' ? all : (heads as readonly number[])) yield check(layer, head);
  }
}

function valueAt(
  value: number | readonly number[] | readonly (readonly number[])[],
  layer: number,
  head: number,
  H: number,
): number {
  if (typeof value === 'number') return value;
  const row = Array.isArray(value[0])
    ? (value as readonly (readonly number[])[])[layer]!
    : (value as readonly number[]);
  if (row.length !== H) {
    throw new AttuneError('HEADS_MISMATCH', {
      at: `layer ${layer}`,
      found: `${row.length} values`,
      expected: `one for each of ${H} query heads`,
    });
  }
  return row[head]!;
}

function outOfRange(code: string, found: string, range: string): AttuneError {
  return new AttuneError(code, { found, expected: `${range}, counted from 0` });
}
