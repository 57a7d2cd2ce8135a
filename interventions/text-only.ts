/** A prompt as a model is called with it, without its pictures: what a contrast with the text alone runs. */
import type { ContrastContext, ModelInputs, ModelTensor } from '../hooks/model/index.ts';

/** The prompt without image tokens, rows padded on the left; undefined where there are none. */
export function textOnly(
  inputs: ModelInputs,
  { tensor, imageToken }: ContrastContext,
): ModelInputs | undefined {
  const { pixel_values: _, past_key_values: __, position_ids: ___, ...rest } = inputs;
  const ids = inputs.input_ids as ModelTensor | undefined;
  if (!ids || imageToken === undefined) return undefined;
  const [B, S] = ids.dims as [number, number];
  const all = Array.from(ids.data as BigInt64Array, Number);
  if (!all.includes(imageToken)) return undefined;
  const mask = inputs.attention_mask as ModelTensor | undefined;
  const real = mask && Array.from(mask.data as BigInt64Array, Number);
  const rows = Array.from({ length: B }, (_row, b) =>
    all.slice(b * S, (b + 1) * S).filter((id, s) => id !== imageToken && real?.[b * S + s] !== 0),
  );
  const length = Math.max(...rows.map((row) => row.length));
  const padded = (value: (id: number) => number) =>
    BigInt64Array.from(
      rows.flatMap((row) => [...new Array<number>(length - row.length).fill(0), ...row.map(value)]),
      BigInt,
    );
  return {
    ...rest,
    input_ids: tensor(
      'int64',
      padded((id) => id),
      [B, length],
    ),
    attention_mask: tensor(
      'int64',
      padded(() => 1),
      [B, length],
    ),
  };
}
