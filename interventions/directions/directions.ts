/**
 * Directions: a vector for each layer, in the residual stream as it leaves the layer or in the outputs of its heads. What steering
 * adds, projects out or clamps; data, from a file or written where they are used.
 */
import { AttuneError } from '../../errors.ts';

/** Where directions live, by the name of the hook point. */
export const PLACES = ['resid_post', 'z'] as const;
/** Where a direction lives: the residual stream as it leaves a layer, or the outputs z of its heads. */
export type DirectionPlace = (typeof PLACES)[number];

/** A vector for each layer. */
export interface Directions {
  /** Where they live. */
  readonly at: DirectionPlace;
  /** By layer, from 0: [M], or [H·D] head after head. */
  readonly vectors: ReadonlyMap<number, Float32Array>;
  /** Who made them, of what: strings, as a file keeps them. */
  readonly about: Readonly<Record<string, string>>;
}

/**
 * Directions from numbers, checked.
 *
 * @example const directions = directionsOf('resid_post', [[12, vector]], 'my directions');
 *
 * @param from what to name in errors: a file, a parameter
 * @throws AttuneError DIRECTIONS_INVALID for none, for numbers that are none, for zeros, for unequal widths
 */
export function directionsOf(
  at: DirectionPlace,
  vectors: Iterable<readonly [layer: number, vector: ArrayLike<number>]>,
  from: string,
  about: Directions['about'] = {},
): Directions {
  const made = new Map(
    [...vectors].sort(([a], [b]) => a - b).map(([layer, vector]) => [layer, Float32Array.from(vector)]),
  );
  if (made.size === 0) throw invalid(from, 'no direction', 'a vector for one layer or more');
  const [[first, { length: width }]] = made as unknown as [[number, Float32Array]];
  for (const [layer, vector] of made) {
    const place = `${from}, layer ${layer}`;
    if (vector.length !== width) {
      throw invalid(place, `${vector.length} numbers`, `${width}, as layer ${first} has`);
    }
    const wrong = vector.findIndex((x) => !Number.isFinite(x));
    if (wrong >= 0) throw invalid(place, `${vector[wrong]} at ${wrong}`, 'finite numbers');
    if (vector.every((x) => x === 0)) throw invalid(place, 'zeros, which point nowhere', 'another vector');
  }
  return { at, vectors: made, about };
}

export const widthOf = ({ vectors }: Directions): number => [...vectors.values()][0]!.length;

/** The length of x: √Σ x². */
export function lengthOf(x: Float32Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
}

export function invalid(at: string, found: string, expected: string): AttuneError {
  return new AttuneError('DIRECTIONS_INVALID', {
    at,
    found,
    expected,
    hint: '`attune directions` makes directions of a model from pairs of texts.',
  });
}
