/**
 * Prompts with documents from text. Every piece is encoded alone and the ids are joined, special tokens before the first
 * only: a document is then the same tokens wherever it stands, and no token lies across a border.
 */
import type { Tensor } from '@huggingface/transformers';
import { AttuneError } from '../errors.ts';

/** The part of a transformers.js tokenizer that is used. */
export interface PieceTokenizer {
  /** Tokens of a text as a tensor. */
  (text: string): { readonly input_ids: Tensor };
  /** Tokens of a text as numbers. */
  encode(text: string, options?: { add_special_tokens?: boolean }): number[];
}

/** A prompt in pieces: what stands before its documents, the documents, what stands after. */
export interface PromptPieces {
  /** Whatever stands before the documents; its special tokens count, so it may be ''. */
  readonly prefix: string;
  /** Separators belong inside each document; running numbers would tell where it stands. */
  readonly documents: readonly string[];
  /** Whatever stands after the documents, such as the question. */
  readonly suffix: string;
}

/** Token ids of a prompt with documents, and where these lie. */
export interface SegmentedPrompt {
  /** int64 [1, S] */
  readonly input_ids: Tensor;
  /** int64 [1, S], all 1. */
  readonly attention_mask: Tensor;
  /** For `pine({ documents })`. */
  readonly documents: [start: number, end: number][];
}

/**
 * A prompt with documents from pieces of text. Each piece is encoded alone, so that a document is the same tokens
 * wherever it stands.
 *
 * @example
 * ```ts
 * const { documents, ...prompt } = segmentPrompt(tokenizer, { prefix: '', documents: passages, suffix: question });
 * const output = await model.generate({ ...prompt, max_new_tokens: 8, interventions: [pine({ documents })] });
 * ```
 *
 * @throws AttuneError DOCUMENT_SPANS for a piece without a token
 */
export function segmentPrompt(
  tokenizer: PieceTokenizer,
  { prefix, documents, suffix }: PromptPieces,
): SegmentedPrompt {
  const ids = [...tokenizer.encode(prefix)];
  const spans = documents.map((text, i): [number, number] => {
    const from = ids.length;
    ids.push(...tokenizer.encode(text, { add_special_tokens: false }));
    if (from > 0 && ids.length > from) return [from, ids.length];
    throw new AttuneError('DOCUMENT_SPANS', {
      at: `document ${i}, ${JSON.stringify(text.slice(0, 80))}`,
      found: from === 0 ? 'no token before it' : 'no token in it',
      expected: 'at least one',
    });
  });
  ids.push(...tokenizer.encode(suffix, { add_special_tokens: false }));
  // The tensors of the tokenizer's own copy of transformers.js, which its models take.
  const OwnTensor = tokenizer(prefix || documents[0]!).input_ids.constructor as typeof Tensor;
  const tensor = (values: readonly number[]) =>
    new OwnTensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  return { input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)), documents: spans };
}

/** What stands around the documents of a text. */
export interface TextMarkers {
  /** What begins a document, and belongs to it. */
  readonly begin: string | readonly string[];
  /** What follows the last document, and belongs to the suffix. */
  readonly end: string;
}

/**
 * A text taken apart at markers, for segmentPrompt.
 *
 * @example
 * ```ts
 * const pieces = splitAtMarkers('Read. Doc: a. Doc: b. Question: c?', { begin: 'Doc:', end: 'Question:' });
 * const { documents } = segmentPrompt(tokenizer, pieces); // spans of two documents
 * ```
 * @throws AttuneError DOCUMENT_MARKERS
 */
export function splitAtMarkers(text: string, { begin, end }: TextMarkers): PromptPieces {
  const begins = typeof begin === 'string' ? [begin] : begin;
  const missing = [...begins, end].find((marker) => marker === '');
  const starts = [...text].length === 0 || missing !== undefined ? [] : startsOf(text, begins);
  const last = starts.length === 0 ? -1 : text.indexOf(end, starts[0]! + 1);
  const inside = starts.filter((start) => start < last);
  if (inside.length > 0) {
    return {
      prefix: text.slice(0, inside[0]),
      documents: inside.map((start, i) => text.slice(start, inside[i + 1] ?? last)),
      suffix: text.slice(last),
    };
  }
  throw new AttuneError('DOCUMENT_MARKERS', {
    at: JSON.stringify(text.slice(0, 80)),
    found:
      missing === ''
        ? 'an empty marker'
        : starts.length === 0
          ? 'no beginning of a document'
          : 'no end marker after it',
    expected: `${begins.map((marker) => JSON.stringify(marker)).join(' or ')}, then ${JSON.stringify(end)}`,
  });
}

function startsOf(text: string, begins: readonly string[]): number[] {
  const starts = new Set<number>();
  for (const marker of begins) {
    for (let at = text.indexOf(marker); at >= 0; at = text.indexOf(marker, at + 1)) starts.add(at);
  }
  return [...starts].sort((a, b) => a - b);
}
