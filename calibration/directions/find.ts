/** Directions of a model from pairs of texts: what flows at the last token of each. */
import { AttuneError } from '../../errors.ts';
import type { AttunedModel, ModelFacts } from '../../hooks/model/index.ts';
import { type DirectionPlace, type Directions, directionsOf } from '../../interventions/index.ts';
import { axisOf, type DirectionMethod, heldOutAccuracy, type VectorPair } from './axis.ts';

/** Token ids of both texts of a pair. */
export interface TokenPair {
  /** The text that has more of what is looked for. */
  readonly positive: readonly number[];
  /** The text that has less of it. */
  readonly negative: readonly number[];
}

/** How directions are found. */
export interface DirectionOptions {
  /** How a direction is made from pairs. */
  readonly method: DirectionMethod;
  /** Where: in the residual stream, or in the outputs of heads. */
  readonly at: DirectionPlace;
  /** At z: how many heads are kept, those whose direction tells pairs apart best; default all. */
  readonly heads?: number | undefined;
  /** After each pair, of so many. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Directions, and how well each tells pairs apart. */
export interface FoundDirections {
  /** For steer and for writeDirections. */
  readonly directions: Directions;
  /** Accuracy on held-out pairs by layer: one number, or one for each head. */
  readonly accuracy: ReadonlyMap<number, readonly number[]>;
}

type Callable = (inputs: object) => Promise<unknown>;

/**
 * Directions at every layer. At z each head's is of unit length times the standard deviation of what flows along it, as
 * inference-time intervention scales them (Li et al., arXiv 2306.03341).
 *
 * @param tensorsOf inputs of the model from token ids
 * @throws AttuneError PAIRS_INVALID where both texts of every pair flow alike, POINT_UNAVAILABLE
 */
export async function findDirections(
  model: AttunedModel & Callable,
  pairs: readonly TokenPair[],
  tensorsOf: (ids: readonly number[]) => object,
  { method, at, heads, onProgress }: DirectionOptions,
): Promise<FoundDirections> {
  const { facts } = model.attune;
  const points = pointsAt(facts, at);
  const byLayer = new Map<number, VectorPair[]>(points.map(({ layer }) => [layer, []]));
  for (const [i, { positive, negative }] of pairs.entries()) {
    const [a, b] = [
      await lastVectors(model, points, tensorsOf(positive)),
      await lastVectors(model, points, tensorsOf(negative)),
    ];
    for (const { layer } of points) byLayer.get(layer)!.push([a.get(layer)!, b.get(layer)!]);
    onProgress?.(i + 1, pairs.length);
  }
  const size = at === 'z' ? facts.decoder[0]!.valueDim : undefined;
  const accuracy = new Map<number, readonly number[]>();
  const made = new Map<number, Float32Array>();
  for (const [layer, vectors] of byLayer) {
    const parts = size === undefined ? [vectors] : perHead(vectors, size);
    accuracy.set(
      layer,
      parts.map((part) => heldOutAccuracy(part, method)),
    );
    made.set(layer, joined(parts.map((part) => directionOf(part, method, at))));
  }
  if (size !== undefined && heads !== undefined) keepBest(made, accuracy, heads, size);
  const kept = [...made].filter(([, vector]) => vector.some((x) => x !== 0));
  const about = {
    method,
    pairs: `${pairs.length}`,
    model_type: `${facts.config.model_type ?? 'unknown'}`,
    held_out_accuracy: JSON.stringify(Object.fromEntries(accuracy)),
  };
  return { directions: directionsOf(at, kept, 'pairs of texts', about), accuracy };
}

function pointsAt({ decoder, points }: ModelFacts, at: DirectionPlace) {
  return decoder.map((site) => {
    const point = points.find((one) =>
      at === 'z'
        ? one.kind === 'hook_z' && one.site === site
        : one.kind === 'hook_resid_post' && one.layer === site.layer && one.tower === site.tower,
    );
    if (point && point.source.from !== 'nowhere') return { name: point.name, layer: site.layer };
    throw new AttuneError('POINT_UNAVAILABLE', {
      at: `layer ${site.layer}`,
      found: point?.source.from === 'nowhere' ? point.source.reason : `no hook_${at}`,
      hint: '`attune inspect --points` lists what can be read.',
    });
  });
}

/** At the last token, by layer. */
async function lastVectors(
  model: AttunedModel & Callable,
  points: ReturnType<typeof pointsAt>,
  inputs: object,
): Promise<Map<number, Float32Array>> {
  const { cache } = await model.runWithCache(
    inputs,
    points.map(({ name }) => name),
  );
  return new Map(
    points.map(({ name, layer }) => {
      const { dims, data } = cache.get(name)!;
      return [layer, data.slice(-dims.slice(2).reduce((product, n) => product * n, 1))];
    }),
  );
}

function perHead(pairs: readonly VectorPair[], size: number): VectorPair[][] {
  const heads = pairs[0]![0].length / size;
  const part = (x: Float32Array, head: number) => x.subarray(head * size, (head + 1) * size);
  return Array.from({ length: heads }, (_, head) =>
    pairs.map(([a, b]): VectorPair => [part(a, head), part(b, head)]),
  );
}

function directionOf(
  pairs: readonly VectorPair[],
  method: DirectionMethod,
  at: DirectionPlace,
): Float32Array {
  const axis = axisOf(pairs, method);
  const length = Math.hypot(...axis);
  if (at !== 'z' || length === 0) return Float32Array.from(axis);
  const along = pairs.flat().map((x) => axis.reduce((sum, v, i) => sum + (v * x[i]!) / length, 0));
  const mean = along.reduce((sum, x) => sum + x, 0) / along.length;
  const deviation = Math.sqrt(along.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (along.length - 1));
  return Float32Array.from(axis, (v) => (v / length) * deviation);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** Zeros for all heads but the best. */
function keepBest(
  made: ReadonlyMap<number, Float32Array>,
  accuracy: ReadonlyMap<number, readonly number[]>,
  count: number,
  size: number,
): void {
  const ranked = [...accuracy].flatMap(([layer, heads]) =>
    heads.map((share, head) => ({ layer, head, share })),
  );
  ranked.sort((a, b) => b.share - a.share);
  for (const { layer, head } of ranked.slice(count)) made.get(layer)!.fill(0, head * size, (head + 1) * size);
}
