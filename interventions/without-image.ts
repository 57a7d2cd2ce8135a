/** The same prompt with its image tokens deleted: the reference that VHR and VHD compare with. */
import { AttuneError } from '../errors.ts';
import type { Span } from '../hooks/model/index.ts';
import type { Feeds, OrtTensor } from '../hooks/session/index.ts';

/** 'renumbered': as if the image had never been there; 'kept': the text keeps its places, with a gap. */
export type ReferencePositions = 'renumbered' | 'kept';

/**
 * Feeds of a prompt without the tokens of `spans`; rows are padded on the left to one length. An empty cache stays.
 * @throws AttuneError REFERENCE_POSITIONS for positions this model does not take
 */
export function withoutImage(feeds: Feeds, spans: readonly Span[], positions: ReferencePositions): Feeds {
  const lead = feeds.inputs_embeds ?? feeds.input_ids!;
  const [B, S] = lead.dims as [number, number];
  const mask = feeds.attention_mask;
  const kept = Array.from({ length: B }, (_, row) => {
    const image = spans.filter((span) => span.row === row);
    return Array.from({ length: S }, (_, column) => column).filter((column) => {
      const real = mask === undefined || Number((mask.data as BigInt64Array)[row * S + column]) !== 0;
      return real && !image.some(({ from, to }) => column >= from && column < to);
    });
  });
  const length = Math.max(...kept.map((columns) => columns.length));
  const cut = (tensor: OrtTensor) => cutColumns(tensor, kept, length, S);
  const result: Record<string, OrtTensor> = { ...feeds };
  for (const name of ['inputs_embeds', 'input_ids', 'attention_mask']) {
    if (feeds[name]) result[name] = cut(feeds[name]!);
  }
  if (!mask && kept.some((columns) => columns.length < length)) {
    throw new AttuneError('REFERENCE_POSITIONS', {
      found:
        'a batch whose prompts have different lengths without their images, and a model without attention_mask',
      hint: 'Run the prompts one by one.',
    });
  }
  if (!feeds.position_ids) {
    if (positions === 'renumbered') return result;
    throw new AttuneError('REFERENCE_POSITIONS', {
      found: "positions: 'kept', and a model that numbers tokens by itself",
      expected: 'an input position_ids',
      hint: "Use positions: 'renumbered'.",
    });
  }
  if (feeds.position_ids.dims.length !== 2) {
    throw new AttuneError('REFERENCE_POSITIONS', {
      found: `position_ids of ${feeds.position_ids.dims.length} axes`,
      expected: '[B, S]: one position per token',
      hint: 'Positions in time and space are not supported here.',
    });
  }
  if (positions === 'kept') return { ...result, position_ids: cut(feeds.position_ids) };
  // As generation numbers them: real tokens from 0, padding 1.
  const numbers = kept.flatMap((columns) => [
    ...new Array<bigint>(length - columns.length).fill(1n),
    ...columns.map((_, i) => BigInt(i)),
  ]);
  return {
    ...result,
    position_ids: tensorLike(feeds.position_ids, BigInt64Array.from(numbers), [B, length]),
  };
}

/** The kept columns of [B, S, …], zeros to their left. */
function cutColumns(
  tensor: OrtTensor,
  kept: readonly (readonly number[])[],
  length: number,
  S: number,
): OrtTensor {
  const data = tensor.data as Float32Array;
  const width = data.length / (kept.length * S);
  const result = new (data.constructor as Float32ArrayConstructor)(kept.length * length * width);
  kept.forEach((columns, row) => {
    const start = (row + 1) * length - columns.length;
    columns.forEach((column, i) => {
      const from = (row * S + column) * width;
      result.set(data.subarray(from, from + width), (start + i) * width);
    });
  });
  return tensorLike(tensor, result, [kept.length, length, ...tensor.dims.slice(2)]);
}

function tensorLike({ type }: OrtTensor, data: unknown, dims: readonly number[]): OrtTensor {
  return { type, data, dims } as OrtTensor;
}
