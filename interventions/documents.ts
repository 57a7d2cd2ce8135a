/**
 * Where the interchangeable documents of a prompt lie: spans as given or found by markers, checked, and the order in which
 * equally important documents are taken, which must not depend on where they stand.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';

/** [start, end), counted from the first real token of a row. */
export type DocumentSpan = readonly [start: number, end: number];

const span = z.tuple([z.int().nonnegative(), z.int().nonnegative()]);
const tokens = z.array(z.int().nonnegative()).min(1);

export const documentsSchema = z.union([
  z
    .array(span)
    .describe('[start, end) of each document, counted from the first real token of a row; for all rows'),
  z.array(z.array(span)).describe('the same for each row of the batch'),
  z
    .strictObject({
      begin: z.union([tokens, z.array(tokens).min(1)]),
      end: tokens,
      most: z.int().positive().default(10),
    })
    .describe('token sequences that begin a document, and the one that follows the last; `most` documents'),
]);

export type Documents = z.output<typeof documentsSchema>;
type Markers = Exclude<Documents, readonly unknown[]>;

/** Where documents lie, as it is written: spans for all rows, spans for each row, or the token sequences around them. */
export type GivenDocuments =
  | [start: number, end: number][]
  | [start: number, end: number][][]
  | DocumentMarkers;

/** Token sequences around documents, looked for in each row of token ids. */
export interface DocumentMarkers {
  /** What begins a document and belongs to it: token ids, or several such sequences. */
  begin: number[] | number[][];
  /** Token ids that follow the last document and belong to what comes after. */
  end: number[];
  /** How many documents there may be. Default 10. */
  most?: number | undefined;
}

export const DOCUMENTS =
  '[start, end) of each document, from the first real token; or a list of them for each row; or { begin, end, most }: the tokens that begin a document and those after the last';

/** Spans by row; one row stands for all. Undefined for markers. */
export function givenSpans(documents: Documents): readonly (readonly DocumentSpan[])[] | undefined {
  if (!Array.isArray(documents)) return undefined;
  const [first] = documents as readonly (readonly unknown[])[];
  if (first && !Array.isArray(first[0])) return [documents as unknown as readonly DocumentSpan[]];
  return first ? (documents as unknown as readonly (readonly DocumentSpan[])[]) : [[]];
}

/** Documents at most in a row, as far as the specification tells. */
export function mostDocuments(documents: Documents): number {
  const rows = givenSpans(documents);
  return rows ? Math.max(...rows.map((row) => row.length)) : (documents as Markers).most;
}

/**
 * @throws AttuneError DOCUMENT_SPANS for no document, an empty one, overlap, tokens between documents, no prefix
 */
export function checkSpans(spans: readonly DocumentSpan[], row?: number): void {
  const at = row === undefined ? 'documents' : `row ${row}`;
  if (spans.length === 0) throw wrong(at, 'no document', 'at least one [start, end)');
  spans.forEach(([start, end], i) => {
    const own = `document ${i}, [${start}, ${end})`;
    if (end <= start) throw wrong(at, `${own}, without a token`, 'start < end');
    const before = spans[i - 1];
    if (i === 0 && start === 0) {
      throw wrong(at, `${own}, at the first token`, 'a prefix of one token or more, such as BOS');
    }
    if (before && start < before[1]) {
      throw wrong(
        at,
        `${own}, which begins before document ${i - 1} ends at ${before[1]}`,
        'spans in order, apart',
      );
    }
    if (before && start > before[1]) {
      throw wrong(
        at,
        `${start - before[1]} tokens between document ${i - 1}, which ends at ${before[1]}, and ${own}`,
        'documents one after another; separators belong inside them',
      );
    }
  });
}

/** @throws AttuneError DOCUMENT_SPANS for a document that is not all within the first call of a sequence */
export function checkInside(spans: readonly DocumentSpan[], length: number, row: number): void {
  const outside = spans.findIndex(([, end]) => end > length);
  if (outside < 0) return;
  throw wrong(
    `row ${row}`,
    `document ${outside}, [${spans[outside]!.join(', ')}), in a prompt of ${length} tokens`,
    'documents inside the prompt, which is given in one call',
  );
}

/**
 * Documents between markers: each begins with a marker, which belongs to it, and the last ends where `end` begins.
 * @throws AttuneError DOCUMENT_MARKERS
 */
export function findDocuments(
  ids: readonly number[],
  { begin, end, most }: Markers,
  row: number,
): DocumentSpan[] {
  const begins = (Array.isArray(begin[0]) ? begin : [begin]) as readonly (readonly number[])[];
  const at = (marker: readonly number[], i: number) => marker.every((token, j) => ids[i + j] === token);
  const starts = ids.flatMap((_, i) => (begins.some((marker) => at(marker, i)) ? [i] : []));
  const last = ids.findIndex((_, i) => i > (starts[0] ?? ids.length) && at(end, i));
  const inside = starts.filter((start) => start < last);
  const lacking =
    starts.length === 0 ? 'no marker of a document' : last < 0 ? 'no end marker after them' : undefined;
  if (lacking !== undefined || inside.length > most) {
    throw new AttuneError('DOCUMENT_MARKERS', {
      at: `row ${row}`,
      found: lacking ?? `${inside.length} documents`,
      expected: lacking ? 'documents that begin with a marker, then the end marker' : `at most ${most}`,
      hint: 'A tokenizer may write a marker otherwise inside a text: segmentPrompt encodes the pieces of a prompt apart.',
    });
  }
  return inside.map((start, i) => [start, inside[i + 1] ?? last]);
}

/**
 * Place of each document among equally important ones: by a hash of its tokens, then by the tokens themselves. Documents
 * that are alike in every token may stand in any order.
 */
export function contentOrder(documents: readonly (readonly number[])[]): number[] {
  const hashes = documents.map(hash);
  const order = [...documents.keys()].sort(
    (a, b) => hashes[a]! - hashes[b]! || compare(documents[a]!, documents[b]!) || a - b,
  );
  const places: number[] = [];
  for (const [place, document] of order.entries()) places[document] = place;
  return places;
}

/** FNV-1a, 32 bits. */
function hash(ids: readonly number[]): number {
  return ids.reduce((sum, id) => Math.imul(sum ^ id, 0x01000193) >>> 0, 0x811c9dc5);
}

function compare(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((id, j) => id !== b[j]);
  return i < 0 ? a.length - b.length : a[i]! - (b[i] ?? -1);
}

function wrong(at: string, found: string, expected: string): AttuneError {
  return new AttuneError('DOCUMENT_SPANS', {
    at,
    found,
    expected,
    hint: 'Spans count from the first real token; segmentPrompt makes ids and spans from pieces of text.',
  });
}
