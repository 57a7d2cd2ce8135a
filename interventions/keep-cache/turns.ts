/**
 * Turning keys that are in a cache by some positions: R(b) k = R(b − a) R(a) k. The angles come from the model's own tables, so
 * that whatever scaling it has is in them.
 */

/** Of one layer. */
export class Turns {
  readonly #angles: Float64Array;
  readonly #interleaved: boolean;
  readonly #known = new Map<number, { readonly cos: Float64Array; readonly sin: Float64Array }>();

  /** @param angles of one position, for each pair of channels */
  constructor(angles: Float64Array, interleaved: boolean) {
    this.#angles = angles;
    this.#interleaved = interleaved;
  }

  #by(positions: number) {
    const made = this.#known.get(positions);
    if (made) return made;
    if (this.#known.size > 4096) this.#known.clear();
    const turned = this.#angles.map((angle) => angle * positions);
    const turn = { cos: turned.map(Math.cos), sin: turned.map(Math.sin) };
    this.#known.set(positions, turn);
    return turn;
  }

  /** One key of `D` channels from `at` on, in place; channels beyond the rotated ones stay. */
  turn(keys: Float32Array, at: number, positions: number): void {
    if (positions === 0) return;
    const { cos, sin } = this.#by(positions);
    const pairs = cos.length;
    const [step, apart] = this.#interleaved ? [2, 1] : [1, pairs];
    for (let i = 0; i < pairs; i++) {
      const [a, b] = [at + i * step, at + i * step + apart];
      const [x, y, c, s] = [keys[a]!, keys[b]!, cos[i]!, sin[i]!];
      keys[a] = x * c - y * s;
      keys[b] = x * s + y * c;
    }
  }
}

/**
 * Angles of one position from tables of cosines and sines [positions, pairs], of any scale: that of row 1, made exact by a row
 * further on.
 */
export function anglesOf(cos: Float32Array, sin: Float32Array, pairs: number): Float64Array {
  const far = cos.length / pairs - 1;
  const at = (row: number, i: number) => Math.atan2(sin[row * pairs + i]!, cos[row * pairs + i]!);
  return Float64Array.from({ length: pairs }, (_, i) => {
    const once = at(1, i);
    const turns = Math.round((once * far - at(far, i)) / (2 * Math.PI));
    return (at(far, i) + 2 * Math.PI * turns) / far;
  });
}
