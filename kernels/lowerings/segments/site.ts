/**
 * A site of position-invariant attention by its values, and what both of its lowerings (after.ts, among.ts) begin with:
 * rotation at base positions, and the cache. Queries and keys come unrotated; the cache holds keys rotated at their base
 * positions, and beside it the unrotated keys of the documents, which every later query is ranked by. Nothing else of a
 * call is needed by later ones.
 */

import { type Emit, emitter, toFloat } from '../../../onnx/emitter.ts';
import type { FunctionDef, Node } from '../../../onnx/index.ts';
import { DataType } from '../../../onnx/index.ts';
import type { HeadLayout, HeadValue } from '../expanded.ts';
import type { Layout, Mode } from './layout.ts';
import type { Rotary } from './rotate.ts';
import { rotate } from './rotate.ts';

/** [B, S, N, D], as well as those of fused operators. */
export interface SegmentValue {
  readonly value: string;
  readonly layout: HeadLayout | 'BSND';
}

export interface SegmentedSite {
  /** Unique in the model; prefix of everything emitted. */
  readonly name: string;
  readonly opset: number;
  /** DataType of q, k, v, the cache and z. Everything between is float32. */
  readonly elemType: number;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  readonly mode: Mode;
  /** k: documents at most, two or more. */
  readonly documents: number;
  /** Unrotated, of this call. */
  readonly q: SegmentValue;
  readonly k: SegmentValue;
  /** Of this call when `past.v` is given, else of all T positions. */
  readonly v: SegmentValue;
  /** [B, K, P, D]: keys that an earlier call gave as `k`, and values. */
  readonly past?: { readonly k: string; readonly v?: string | undefined } | undefined;
  /**
   * What the first call gave as `documents` [B, K, W, D] and `folded` [B, K, k, N, D], float32; without columns in that
   * call. For mode 'pine' with a cache.
   */
  readonly pastDocuments?: string | undefined;
  readonly pastFolded?: string | undefined;
  readonly scale: number;
  readonly softcap?: number | undefined;
  /** Value [H]. */
  readonly headSink?: string | undefined;
  readonly rotary: Rotary;
  /** Value [B|1, H|1], float32: factor on the logits before anything is added; importances are without it. */
  readonly queryScale?: string | undefined;
  /** Value [B|1, H|1, S, T], float32, added to the logits. */
  readonly bias?: string | undefined;
  readonly zLayout: HeadValue['layout'];
  readonly layout: Layout;
  /** Value [B] int64: column of the first real token. */
  readonly first: string;
}

/** Nodes that compute an attention, and the values they make. */
export interface Written {
  readonly nodes: readonly Node[];
  readonly functions: ReadonlyMap<string, FunctionDef>;
  /**
   * z in the site's layout and type; k the keys of all T positions, rotated, [B, K, T, D]; v likewise where the site
   * joins its own cache; documents [B, K, W, D], unrotated, and folded [B, K, k, N, D], rotated, the first batch row's
   * documents side by side, both float32 and without columns after the first call; pattern [B, H, S, T] where asked for.
   */
  readonly results: Readonly<Record<'z' | 'k' | 'documents' | 'folded', string>> & {
    readonly v?: string | undefined;
    readonly pattern?: string | undefined;
  };
}

export interface Opened {
  readonly emit: Emit;
  /** [B, H, S, D] float, times the scale: unrotated and at base positions. */
  readonly q: string;
  readonly turned: string;
  /** [B, K, S, D] float, unrotated, this call. */
  readonly fresh: string;
  /** [B, K, T, D]: in the site's type, and as float. */
  readonly keys: string;
  readonly values: string;
  readonly k: string;
  readonly v: string;
}

export function openSite(site: SegmentedSite, branch: string): Opened {
  const { H, K, D, elemType, rotary, layout, past } = site;
  const emit = emitter(site.opset, `${site.name}.${branch}.`);
  const byHead = (value: SegmentValue, N: number) => toFloat(emit, headsFirst(emit, value, N), elemType);
  const q = emit('Mul', [byHead(site.q, H), emit.float(site.scale)]);
  const fresh = byHead(site.k, K);
  const atBase = rotate(emit, q, layout.positions, rotary, { heads: H, D });
  const turned = site.queryScale
    ? emit('Mul', [atBase, emit('Unsqueeze', [site.queryScale, emit.ints(2, 3)])])
    : atBase;
  const key = rotate(emit, fresh, layout.positions, rotary, { heads: K, D });
  const typed = elemType === DataType.FLOAT ? key : emit('Cast', [key], { to: elemType });
  const join = (before: string | undefined, now: string) =>
    before === undefined ? now : emit('Concat', [before, now], { axis: 2 });
  const keys = join(past?.k, typed);
  const values = join(past?.v, headsFirst(emit, site.v, K));
  const k = toFloat(emit, keys, elemType);
  return { emit, q, turned, fresh, keys, values, k, v: toFloat(emit, values, elemType) };
}

/** [B, N, S, D]; E for D of values. */
function headsFirst(emit: Emit, { value, layout }: SegmentValue, N: number): string {
  if (layout === 'BNSD') return value;
  const split = layout === 'BSND' ? value : emit('Reshape', [value, emit.ints(0, 0, N, -1)]);
  return emit('Transpose', [split], { perm: [0, 2, 1, 3] });
}

/** z [B, H, S, E] float in the layout and type of the site. */
export function closeSite(emit: Emit, { zLayout, elemType }: SegmentedSite, z: string): string {
  const heads = () => emit('Transpose', [z], { perm: [0, 2, 1, 3] });
  const flat = zLayout === 'BNSD' ? z : emit('Reshape', [heads(), emit.ints(0, 0, -1)]);
  return elemType === DataType.FLOAT ? flat : emit('Cast', [flat], { to: elemType });
}
