/** What scoring asks of a model: text to tokens, and the log-likelihood of tokens after tokens. */

import type { ItemPicture } from '../data/pictures.ts';
import type { RenderChat } from './chat.ts';

/** A picture as the model takes it. */
export interface EncodedPicture {
  /** Name → tensor, as the model is called: pixel_values, … */
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** Tokens from … to − 1. */
export type TokenSpan = readonly [from: number, to: number];

export interface TokenRequest {
  /** At least one token. */
  context: readonly number[];
  /** Interchangeable parts of the context, for interventions that act on them. */
  documents?: readonly TokenSpan[] | undefined;
  /** Whose places are among the context's tokens. */
  picture?: EncodedPicture | undefined;
  /** At least one token. */
  continuation: readonly number[];
}

export interface TokenScore {
  /** Σ ln p(token | all before it) over the continuation, in nats. NaN when the model's logits are not finite. */
  logLikelihood: number;
  /** Whether each token of the continuation has the largest logit of its position (the first of equal ones). */
  greedy: boolean;
  /** Whether tokens were cut off the left because context and continuation exceed the model's length. */
  truncated: boolean;
}

export interface Cost {
  /** Positions run through the model, padding included. */
  tokens: number;
  /** Positions that one pass for each request would have run. */
  unsharedTokens: number;
  /** Calls of the model. */
  calls: number;
  /** Time inside those calls. */
  ms: number;
  /** Of `tokens` and `ms`, what went into writing token after token; 0 where text is only scored. */
  decodedTokens: number;
  decodeMs: number;
  /** Of `tokens` and `ms`, what was not run but taken over from another setting that runs it alike (kept-runs.ts). */
  reusedTokens: number;
  reusedMs: number;
}

export interface WriteOptions {
  /** Text that ends the writing and is cut off; EOS ends it too. */
  until: readonly string[];
  maxTokens: number;
  /** Interchangeable parts of the prompt, for interventions that act on them. */
  documents?: readonly TokenSpan[] | undefined;
  /** Whose places are among the prompt's tokens. */
  picture?: EncodedPicture | undefined;
}

export interface Written {
  text: string;
  /** Tokens written, those that were cut off again included. */
  tokens: number;
  /** false when the model's logits were not finite; the text ends there. */
  finite: boolean;
  /** Whether the prompt lost tokens at the left to leave room for maxTokens. */
  truncated: boolean;
  cost: Cost;
}

export interface LanguageModel {
  /** The longest input, in tokens. */
  readonly maxLength: number;
  /** What stands before text that has nothing before it: BOS, or EOS for models without one. */
  readonly prefixToken: number;
  /**
   * Default: special tokens as the tokenizer adds them itself, but none when the text begins with the prefix token's
   * own text. `specialTokens: false`: none.
   */
  encode(text: string, options?: { specialTokens?: boolean }): number[];
  /** Turns written out by the model's template; present where prompts are put as chats. */
  renderChat?: RenderChat | undefined;
  /**
   * A prompt about a picture, with what the model's chat puts around it and the picture's places written out; absent in a
   * model of text.
   */
  encodeImagePrompt?(
    prompt: string,
    picture: ItemPicture,
  ): Promise<{ text: string; picture: EncodedPicture }>;
  /**
   * Scores in the order of the requests. Requests of one call may share computation, and have the same documents and picture.
   */
  logLikelihoods(requests: readonly TokenRequest[]): Promise<{ scores: TokenScore[]; cost: Cost }>;
  /** Greedy decoding after a prompt; the prefix token alone where it is empty. */
  generate(prompt: readonly number[], options: WriteOptions): Promise<Written>;
}

export const noCost: Cost = {
  tokens: 0,
  unsharedTokens: 0,
  calls: 0,
  ms: 0,
  decodedTokens: 0,
  decodeMs: 0,
  reusedTokens: 0,
  reusedMs: 0,
};

export const addCosts = (a: Cost, b: Cost): Cost => ({
  tokens: a.tokens + b.tokens,
  unsharedTokens: a.unsharedTokens + b.unsharedTokens,
  calls: a.calls + b.calls,
  ms: a.ms + b.ms,
  decodedTokens: a.decodedTokens + b.decodedTokens,
  decodeMs: a.decodeMs + b.decodeMs,
  reusedTokens: a.reusedTokens + b.reusedTokens,
  reusedMs: a.reusedMs + b.reusedMs,
});
