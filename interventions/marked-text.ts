/** Prompts with some of their text marked: the ids of a text or of a chat, and the spans of what is marked in it. */
import type { Tensor } from '@huggingface/transformers';
import { AttuneError } from '../errors.ts';
import type { PieceTokenizer } from './segment-prompt.ts';

/** Token ids of a prompt, and the spans of what is marked in it. */
export interface MarkedText {
  /** int64 [1, S] */
  readonly input_ids: Tensor;
  /** int64 [1, S], all 1. */
  readonly attention_mask: Tensor;
  /** [start, end) of each marked piece. */
  readonly spans: [start: number, end: number][];
}

/** A piece of text, marked or not. Each is encoded alone, so that no token lies across a border. */
export type Piece = string | { readonly mark: string };

/**
 * A prompt from pieces of text, some of them marked, with the spans of those that are.
 *
 * @example const { spans, ...inputs } = markedText(tokenizer, ['Answer in French. ', { mark: 'Be brief. ' }, question]);
 * @throws AttuneError SPANS_INVALID where nothing is marked, or a mark holds no token
 */
export function markedText(tokenizer: PieceTokenizer, pieces: readonly Piece[]): MarkedText {
  return encoded(tokenizer, pieces, true);
}

/** A message of a chat, as chat templates take it. */
export interface ChatMessage {
  /** Who says it: system, user, assistant. */
  readonly role: string;
  /** What is said. */
  readonly content: string;
}

/** The part of a transformers.js tokenizer that is used. */
export interface ChatTokenizer extends PieceTokenizer {
  /** Writes a chat as text or tokens. */
  apply_chat_template(messages: ChatMessage[], options: object): unknown;
}

/**
 * A chat as its template writes it, with what one role says marked.
 *
 * @example const { spans, ...inputs } = markedChat(tokenizer, messages, 'system');
 * @throws AttuneError SPANS_INVALID where the role says nothing, or the template does not write what it says as it is
 */
export function markedChat(
  tokenizer: ChatTokenizer,
  messages: readonly ChatMessage[],
  role: string,
  options: object = {},
): MarkedText {
  const text = tokenizer.apply_chat_template([...messages], {
    add_generation_prompt: true,
    ...options,
    tokenize: false,
  }) as string;
  const pieces: Piece[] = [];
  let from = 0;
  for (const [i, message] of messages.entries()) {
    const content = message.content.trim();
    const at = text.indexOf(content, from);
    if (at < 0)
      throw invalid(`message ${i}`, 'a template that writes it otherwise', 'its text in the prompt');
    if (message.role !== role || content === '') continue;
    pieces.push(text.slice(from, at), { mark: content });
    from = at + content.length;
  }
  // The template writes special tokens itself.
  return encoded(tokenizer, [...pieces, text.slice(from)], false);
}

function encoded(tokenizer: PieceTokenizer, pieces: readonly Piece[], special: boolean): MarkedText {
  const ids: number[] = special ? [...tokenizer.encode('')] : [];
  const spans: [number, number][] = [];
  for (const [i, piece] of pieces.entries()) {
    const text = typeof piece === 'string' ? piece : piece.mark;
    const start = ids.length;
    if (text !== '') ids.push(...tokenizer.encode(text, { add_special_tokens: false }));
    if (typeof piece === 'string') continue;
    if (ids.length === start) throw invalid(`piece ${i}`, 'no token in it', 'at least one');
    spans.push([start, ids.length]);
  }
  if (spans.length === 0)
    throw invalid('the prompt', 'nothing marked', 'a piece { mark: text } or a role that speaks');
  const OwnTensor = tokenizer('a').input_ids.constructor as typeof Tensor;
  const tensor = (values: readonly number[]) =>
    new OwnTensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  return { input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)), spans };
}

const invalid = (at: string, found: string, expected: string): AttuneError =>
  new AttuneError('SPANS_INVALID', { at, found, expected });
