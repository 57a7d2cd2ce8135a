/** The vectors of a steering specification, checked against the model they are to move: what goes into its knobs. */
import { AttuneError } from '../../errors.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { type HeadSet, headTable } from '../heads.ts';
import {
  type DirectionPlace,
  type Directions,
  directionsOf,
  invalid,
  lengthOf,
  widthOf,
} from './directions.ts';
import { type DirectionsFile, readDirections } from './file.ts';

export interface SteerSpec {
  readonly directions: DirectionsFile | Readonly<Record<string, readonly number[]>>;
  readonly at: DirectionPlace;
  readonly mode: 'add' | 'project' | 'clamp';
  readonly strength: number;
  readonly unit: boolean;
  readonly layers: 'all' | readonly number[];
  readonly heads: HeadSet;
}

/** Of one layer: α v to add; u to read along, and α u to write along. */
export interface LayerVectors {
  readonly added: Float32Array;
  readonly read: Float32Array;
  readonly written: Float32Array;
}

/**
 * Layers that are steered.
 * @throws AttuneError DIRECTIONS_INVALID, DIRECTIONS_CHANGED, DIRECTION_MISSING for a layer without one
 */
export function steeredLayers(spec: SteerSpec): number[] {
  const { vectors } = directionsIn(spec);
  if (spec.layers === 'all') return [...vectors.keys()];
  const missing = spec.layers.find((layer) => !vectors.has(layer));
  if (missing === undefined) return [...new Set(spec.layers)].sort((a, b) => a - b);
  throw new AttuneError('DIRECTION_MISSING', {
    at: 'steer.layers',
    found: `layer ${missing}, which the directions say nothing of`,
    expected: [...vectors.keys()].join(', '),
  });
}

/** @throws AttuneError as steeredLayers, and DIRECTION_MODEL, DIRECTION_WIDTH, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE */
export function steeringVectors(spec: SteerSpec, model: ModelFacts): LayerVectors[] {
  const directions = directionsIn(spec);
  checkModel(directions, model);
  checkWidth(directions, model);
  return steeredLayers(spec).map((layer) => {
    const { numHeads, valueDim } = siteOf(model, layer);
    const vector = directions.vectors.get(layer)!.slice();
    if (spec.at === 'resid_post') return vectorsOf(vector, [vector], spec);
    const on = headTable(model, 1, { layers: 'all', heads: spec.heads, neutral: 0 })[layer]!;
    const parts = Array.from({ length: numHeads }, (_, head) =>
      vector.subarray(head * valueDim, (head + 1) * valueDim),
    );
    for (const [head, part] of parts.entries()) if (on[head] === 0) part.fill(0);
    return vectorsOf(vector, parts, spec);
  });
}

/** @param parts of the vector, in place, each of which is a direction */
function vectorsOf(vector: Float32Array, parts: readonly Float32Array[], spec: SteerSpec): LayerVectors {
  const unit = new Float32Array(vector.length);
  let at = 0;
  for (const part of parts) {
    const length = lengthOf(part);
    if (length > 0)
      unit.set(
        part.map((x) => x / length),
        at,
      );
    at += part.length;
  }
  const scaled = (x: Float32Array) => x.map((value) => spec.strength * value);
  return { added: scaled(spec.unit ? unit : vector), read: unit, written: scaled(unit) };
}

function directionsIn({ directions, at }: SteerSpec): Directions {
  const file = directions as DirectionsFile;
  if (typeof file.file !== 'string') {
    const inline = Object.entries(directions as Readonly<Record<string, readonly number[]>>);
    return directionsOf(
      at,
      inline.map(([layer, vector]) => [Number(layer), vector]),
      'steer.directions',
    );
  }
  const read = readDirections(file);
  if (read.at === at) return read;
  throw invalid(file.file, `directions at ${read.at}`, `at ${at}, or steer({ at: '${read.at}' })`);
}

function siteOf({ decoder }: ModelFacts, layer: number): ModelFacts['decoder'][number] {
  const site = decoder.find((one) => one.layer === layer);
  if (site) return site;
  throw new AttuneError('LAYER_OUT_OF_RANGE', {
    at: 'steer',
    found: `a direction of layer ${layer}`,
    expected: `layers ${decoder[0]!.layer} to ${decoder.at(-1)!.layer}`,
    hint: 'The directions are of another model; `layers` takes some of them.',
  });
}

/** @throws AttuneError DIRECTION_MODEL where both say what they are of, and differ */
function checkModel({ about }: Directions, { config }: ModelFacts): void {
  const text = config.text_config as Readonly<Record<string, unknown>> | undefined;
  const own = [config.model_type, text?.model_type].filter((type) => type !== undefined);
  const made = about.model_type;
  if (made === undefined || made === 'unknown' || own.length === 0 || own.includes(made)) return;
  throw new AttuneError('DIRECTION_MODEL', {
    at: 'steer.directions',
    found: `directions of a ${made}`,
    expected: `of a ${own.join(' or ')}, as the model is`,
    hint: 'Directions mean nothing in another model; `attune directions` makes those of this one.',
  });
}

/** @throws AttuneError DIRECTION_WIDTH */
function checkWidth(directions: Directions, model: ModelFacts): void {
  const [{ numHeads, valueDim }] = model.decoder as [ModelFacts['decoder'][number]];
  const wanted = directions.at === 'z' ? numHeads * valueDim : hiddenSize(model);
  const found = widthOf(directions);
  if (wanted === undefined || wanted === found) return;
  throw new AttuneError('DIRECTION_WIDTH', {
    at: 'steer.directions',
    found: `${found} numbers for each layer`,
    expected:
      directions.at === 'z'
        ? `${wanted}: ${numHeads} heads of ${valueDim}`
        : `${wanted}, the width of this model’s residual stream`,
    hint: 'They were made for another model; `attune directions` makes those of this one.',
  });
}

/** M, where the configuration says it. */
export function hiddenSize({ config }: Pick<ModelFacts, 'config'>): number | undefined {
  const text = (config.text_config ?? config) as Readonly<Record<string, unknown>>;
  const size = text.hidden_size ?? text.n_embd ?? text.d_model ?? text.dim;
  return typeof size === 'number' ? size : undefined;
}
