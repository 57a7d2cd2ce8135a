/**
 * Spans of a prompt: which of its tokens are meant. Given for all rows of a batch or for each, counted from the first real token of
 * a row, or found by their tokens; a sequence's prompt is what its first call holds.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { RequestState } from '../hooks/model/index.ts';
import type { Feeds } from '../hooks/session/index.ts';

const span = z
  .tuple([z.int().nonnegative(), z.int().positive()])
  .refine(([start, end]) => start < end, 'start must be before end');
const tokens = z.array(z.int().nonnegative()).min(1);

export const spansSchema = z.union([
  z.array(span).min(1),
  z.array(z.array(span)).min(1),
  z.strictObject({ find: z.array(tokens).min(1) }),
]);
/** Spans of a prompt for all rows of a batch, for each row, or the token sequences to find in every row. */
export type Spans =
  | [start: number, end: number][]
  | [start: number, end: number][][]
  | {
      /** Token sequences; each is meant everywhere it occurs. */
      find: number[][];
    };

export const SPANS =
  '[start, end) of each, from the first real token; or a list of them for each row; or { find: token sequences }, everywhere they occur';

type Row = readonly (readonly [start: number, end: number])[];

/** 1 at the spans, 0 elsewhere in the prompts, a row after another; columns as they come, padding included. */
export interface MarkedPrompt {
  readonly rows: number;
  /** Columns of the prompt. */
  readonly length: number;
  /** Of each row, the column of its first real token. */
  readonly first: readonly number[];
  readonly marks: Uint8Array;
}

/** By prompt, since decoding asks again for each token. */
const known = new WeakMap<object, WeakMap<Spans & object, MarkedPrompt>>();

/**
 * @param kind for errors
 * @throws AttuneError SPANS_INVALID with row and span, PROMPT_UNKNOWN, ROWS_MISMATCH
 */
export function markedPrompt(kind: string, spans: Spans, request: RequestState, feeds: Feeds): MarkedPrompt {
  const { past, promptIds } = request;
  const [B = 1, S = 0] = (feeds.input_ids ?? feeds.inputs_embeds)?.dims ?? [];
  const before = promptIds && known.get(promptIds)?.get(spans);
  if (past > 0 && before && before.rows === B) return before;
  const length = past === 0 ? S : promptIds?.[0]?.length;
  if (length === undefined) {
    throw new AttuneError('PROMPT_UNKNOWN', {
      at: kind,
      found: 'a cache whose prompt was not seen',
      expected: 'one that this model returned for a prompt of token ids',
      hint: 'Start the sequence again, with input_ids.',
    });
  }
  const first = firstReal(feeds, B, length);
  const marks = new Uint8Array(B * length);
  for (let b = 0; b < B; b++) {
    for (const [start, end] of rowOf(kind, spans, { row: b, B, ids: promptIds?.[b]?.slice(first[b]!) })) {
      const to = first[b]! + end;
      if (to > length) {
        throw invalid(
          kind,
          `row ${b}`,
          `[${start}, ${end}) in a prompt of ${length - first[b]!} tokens`,
          'spans inside the prompt',
        );
      }
      marks.fill(1, b * length + first[b]! + start, b * length + to);
    }
  }
  const made = { rows: B, length, first, marks };
  if (promptIds) {
    const own = known.get(promptIds) ?? new WeakMap<Spans & object, MarkedPrompt>();
    known.set(promptIds, own);
    own.set(spans, made);
  }
  return made;
}

function rowOf(
  kind: string,
  spans: Spans,
  { row, B, ids }: { row: number; B: number; ids: readonly number[] | undefined },
): Row {
  if (!Array.isArray(spans)) return found(kind, spans as { readonly find: readonly number[][] }, row, ids);
  const given = spans as Row | readonly Row[];
  if (!Array.isArray(given[0]?.[0]) && given[0]?.length !== 0) return given as Row;
  if (given.length === B) return (given as readonly Row[])[row]!;
  throw new AttuneError('ROWS_MISMATCH', {
    at: kind,
    found: `a batch of ${B} rows`,
    expected: `${given.length}, one for each list of spans`,
  });
}

/** Every place of every sequence. */
function found(
  kind: string,
  { find }: { readonly find: readonly (readonly number[])[] },
  row: number,
  ids: readonly number[] | undefined,
): Row {
  if (!ids)
    throw invalid(kind, `row ${row}`, 'no token ids, only embeddings', 'input_ids, or spans as numbers');
  return find.flatMap((sequence, i) => {
    const starts = ids.flatMap((_, at) => (sequence.every((token, j) => ids[at + j] === token) ? [at] : []));
    if (starts.length > 0) return starts.map((start) => [start, start + sequence.length] as const);
    throw invalid(
      kind,
      `row ${row}`,
      `nowhere the tokens ${sequence.join(' ')} of find[${i}]`,
      'them in the prompt',
    );
  });
}

function firstReal({ attention_mask }: Feeds, B: number, length: number): number[] {
  const mask = attention_mask?.data as ArrayLike<number | bigint> | undefined;
  const T = attention_mask?.dims[1] ?? 0;
  return Array.from({ length: B }, (_, b) => {
    let first = 0;
    while (mask && first < length - 1 && Number(mask[b * T + first]) === 0) first++;
    return first;
  });
}

const invalid = (kind: string, at: string, what: string, expected: string): AttuneError =>
  new AttuneError('SPANS_INVALID', {
    at: `${kind}, ${at}`,
    found: what,
    expected,
    hint: 'Spans count from the first real token; markedText and markedChat make ids and spans from text.',
  });
