/** Prompts for second streams: rows of token ids, padded on the left. */
import type { ContrastContext, ModelInputs, ModelTensor } from '../hooks/model/index.ts';

/** The real tokens of each row that `keep` keeps; undefined for a call without token ids. */
export function keptTokens(
  { input_ids, attention_mask }: ModelInputs,
  keep: (id: number, row: number, column: number) => boolean,
): number[][] | undefined {
  const ids = input_ids as ModelTensor | undefined;
  if (!ids) return undefined;
  const [B, S] = ids.dims as [number, number];
  const all = Array.from(ids.data as BigInt64Array, Number);
  const mask = attention_mask as ModelTensor | undefined;
  const real = mask && Array.from(mask.data as BigInt64Array, Number);
  return Array.from({ length: B }, (_row, b) =>
    all.slice(b * S, (b + 1) * S).filter((id, s) => real?.[b * S + s] !== 0 && keep(id, b, s)),
  );
}

/** The inputs with other rows; what belongs to the old ones (cache, positions, pictures) goes. */
export function withRows(
  inputs: ModelInputs,
  rows: readonly (readonly number[])[],
  { tensor }: ContrastContext,
): ModelInputs {
  const { pixel_values: _, past_key_values: __, position_ids: ___, ...rest } = inputs;
  const length = Math.max(...rows.map((row) => row.length));
  const padded = (value: (id: number) => number) =>
    BigInt64Array.from(
      rows.flatMap((row) => [...new Array<number>(length - row.length).fill(0), ...row.map(value)]),
      BigInt,
    );
  const of = (value: (id: number) => number) => tensor('int64', padded(value), [rows.length, length]);
  return { ...rest, input_ids: of((id) => id), attention_mask: of(() => 1) };
}
