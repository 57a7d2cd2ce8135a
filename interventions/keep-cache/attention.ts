/**
 * Attention that keys get, summed over rows inside the graph: [L, B, K, T], the mean over the query heads of a group. Where no row
 * is asked for, nothing is computed. Letters: L layers, B rows, H query heads, K kv heads, S rows of the call, T keys.
 */
import type { Edit, Emit, Knob, KnobValue } from '../../hooks/compile/index.ts';
import type { OrtTensor } from '../../hooks/session/index.ts';
import { DataType } from '../../onnx/index.ts';
import type { Kept } from './kept.ts';
import { type CacheLayout, refuse } from './layout.ts';
import type { AttentionRows } from './scores/score.ts';

const ROWS = 'attune.keep_cache.rows';
export const ATTENTION = 'attune.keep_cache.attention';

const rowsValue = (rows: number): KnobValue => ({ dims: [1], data: BigInt64Array.of(BigInt(rows)) });

export const rowsKnob: Knob = { name: ROWS, elemType: DataType.INT64, shape: [1], neutral: rowsValue(0) };

export const askRows = (rows: number): Record<string, KnobValue> => ({ [ROWS]: rowsValue(rows) });

/** @throws AttuneError INTERVENTION_REFUSED, SITE_LACKS where a layer has no pattern to read */
export function attentionEdit({ layers }: CacheLayout): Edit {
  const nested = layers.find(({ site }) => site.scope.length > 0);
  if (nested) {
    throw refuse(
      `layer ${nested.site.layer}`,
      'attention in a branch of an If, which sums over its rows cannot leave',
    );
  }
  const blind = layers.find(({ site }) => site.lacks?.pattern !== undefined || site.projectsInside);
  if (blind) {
    const { site } = blind;
    throw refuse(
      `layer ${site.layer}`,
      `no pattern to read: ${site.lacks?.pattern ?? 'projections inside the operator'}`,
    );
  }
  return {
    kind: 'after',
    build: ({ emit, attentionMask, lastRows, report }) => {
      const wanted = emit('Greater', [ROWS, emit.ints(0)]);
      const [sums] = emit.either(
        wanted,
        (inner) => {
          const each = layers.map(({ site }) => {
            const rows = realRows(inner, lastRows(inner, site, ROWS), attentionMask);
            const byHead = inner('Squeeze', [inner.reduce('ReduceSum', rows, 2), inner.ints(2)]); // [B, H, T]
            const groups = inner.reshape(byHead, [0, site.kvHeads, -1, { of: byHead, axis: 2 }]);
            const sum = inner('Squeeze', [inner.reduce('ReduceSum', groups, 2), inner.ints(2)]); // [B, K, T]
            return inner('Unsqueeze', [
              inner('Mul', [sum, inner.scalar(site.kvHeads / site.numHeads)]),
              inner.ints(0),
            ]);
          });
          return [[inner('Concat', each, { axis: 0 }), DataType.FLOAT]];
        },
        (inner) => [[inner.reshape(inner.scalar(0), [1, 1, 1, 1]), DataType.FLOAT]],
      );
      report(ATTENTION, sums!, 4);
    },
  };
}

/** Rows of padding give nothing. rows: [B, H, R, T] */
function realRows(emit: Emit, rows: string, attentionMask: string | undefined): string {
  if (attentionMask === undefined) return rows;
  const count = emit('Neg', [emit.dim(rows, 2)]);
  const newest = emit.slice(attentionMask, 1, count, emit.ints(Number.MAX_SAFE_INTEGER)); // [B, R]
  const real = emit.reshape(emit.cast(newest, DataType.BOOL), [0, 1, -1, 1]);
  return emit('Where', [real, rows, emit.scalar(0)]);
}

/**
 * How many rows of a call count.
 * @param left tokens that come after this call before keys go; below 0 where they go behind it
 */
export function rowsWanted(asked: AttentionRows, S: number, left: number): number {
  if (asked === 'all') return S;
  return Math.max(0, Math.min(S, asked.last - Math.max(0, left)));
}

/** Sums of the keys that are held once a call of S tokens has run: what they had, and what they were given in it. */
export function grownMass(kept: Kept, S: number, given: OrtTensor | undefined, L: number): Float32Array[] {
  const { B, held, groups } = kept;
  const K = groups.kvHeads;
  const T = given?.dims[3] ?? 0;
  return Array.from({ length: L * B * K }, (_, i) => {
    const mass = new Float32Array(held + S);
    const before = kept.mass[i];
    if (before) mass.set(before);
    if (!given) return mass;
    const row = (given.data as Float32Array).subarray(i * T, (i + 1) * T);
    // Where every key is held, those that would be are found by their columns.
    const whole = T > held + S;
    const columns = whole
      ? kept.columns(kept.group(Math.floor(i / K / B), Math.floor(i / K) % B, i % K))
      : undefined;
    for (let n = 0; n < held; n++) mass[n]! += row[columns?.[n] ?? n]!;
    for (let s = 0; s < S; s++) mass[held + s]! += row[T - S + s]!;
    return mass;
  });
}
