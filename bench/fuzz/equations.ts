/** Equations that hold of every attention, whatever its graph, between what taps read: checked in float64. */
import type { ModelFacts } from '../../hooks/model/index.ts';
import { pointName } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';

export type Tensors = Readonly<
  Record<string, { readonly dims: readonly number[]; readonly data: ArrayLike<number> | ArrayLike<bigint> }>
>;

interface Read {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Of the values compared, which are averages. */
const TOLERANCE = 2e-3;

const read = (taps: Tensors, site: Site, point: 'hook_pattern' | 'hook_v' | 'hook_z'): Read | undefined =>
  taps[pointName(point, site)] as Read | undefined;

/** Σ_t pattern[b,h,s,t] v[b,t,k,d] = z[b,s,h,d], at sites whose values are all of this call. */
export function wrongPattern({ recognition }: ModelFacts, taps: Tensors): string | undefined {
  for (const site of recognition.sites) {
    const [pattern, v, z] = [
      read(taps, site, 'hook_pattern'),
      read(taps, site, 'hook_v'),
      read(taps, site, 'hook_z'),
    ];
    if (!pattern || !v || !z || v.dims[1] !== pattern.dims[3]) continue;
    const off = offProduct(pattern, v, z);
    if (off > TOLERANCE)
      return `${pointName('hook_pattern', site)}: pattern·V is ${off.toPrecision(3)} from z`;
  }
  return undefined;
}

/** The largest deviation, as a share of the largest value. */
function offProduct({ data: P, dims }: Read, { data: V, dims: of }: Read, { data: Z }: Read): number {
  const [B, H, S, T] = dims as [number, number, number, number];
  const [, , K, D] = of as [number, number, number, number];
  const scale = largest(V);
  let off = 0;
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let s = 0; s < S; s++)
        for (let d = 0; d < D; d++) {
          let sum = 0;
          for (let t = 0; t < T; t++) {
            sum +=
              P[((b * H + h) * S + s) * T + t]! * V[((b * T + t) * K + Math.floor((h * K) / H)) * D + d]!;
          }
          off = Math.max(off, Math.abs(sum - Z[((b * S + s) * H + h) * D + d]!));
        }
  return off / scale;
}

const largest = (data: ArrayLike<number>): number => {
  let most = 1e-6;
  for (let i = 0; i < data.length; i++) most = Math.max(most, Math.abs(data[i]!));
  return most;
};

/** Head 0 of every layer gives nothing. */
export function wrongAblation({ decoder }: ModelFacts, _plain: Tensors, edited: Tensors): string | undefined {
  for (const site of decoder) {
    const z = read(edited, site, 'hook_z');
    if (!z) continue;
    const [, , H, D] = z.dims as [number, number, number, number];
    for (let i = 0; i < z.data.length; i++) {
      if (Math.floor(i / D) % H === 0 && z.data[i] !== 0)
        return `${pointName('hook_z', site)}: head 0 gives ${z.data[i]}`;
    }
  }
  return undefined;
}

/** P'_t = γ^[t = 0] P_t / Σ with γ = 3, in the first layer, whose queries and keys are those of the untouched model. */
export function wrongTuning({ decoder }: ModelFacts, plain: Tensors, edited: Tensors): string | undefined {
  const site = decoder[0];
  const [before, after] = [
    site && read(plain, site, 'hook_pattern'),
    site && read(edited, site, 'hook_pattern'),
  ];
  if (!site || !before || !after) return undefined;
  if (String(before.dims) !== String(after.dims))
    return `pattern of [${after.dims}] in place of [${before.dims}]`;
  const T = before.dims[3]!;
  for (let row = 0; row < before.data.length; row += T) {
    const first = before.data[row]!;
    let total = 0;
    for (let t = 0; t < T; t++) total += before.data[row + t]!;
    for (let t = 0; t < T; t++) {
      const expected = ((t === 0 ? 3 : 1) * before.data[row + t]! * total) / (total + 2 * first);
      const off = Math.abs(after.data[row + t]! - expected);
      if (!(off <= TOLERANCE) && total > 0) {
        return `${pointName('hook_pattern', site)}, row ${row / T}, key ${t}: ${after.data[row + t]} in place of ${expected}`;
      }
    }
  }
  return undefined;
}
