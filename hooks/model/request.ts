/** What is known of the generation under way, seen from the sessions' feeds. */
import { AttuneError } from '../../errors.ts';
import { cacheOf, type Feeds, type OrtTensor } from '../session/index.ts';
import type { CacheNote } from './cache-note.ts';

/** A run of tokens in one row, such as those that stand for an image. */
export interface Span {
  /** Row of the batch, from 0. */
  readonly row: number;
  /** First token. */
  readonly from: number;
  /** One past the last token. */
  readonly to: number;
}

/** What an image encoder's class token attends to, [images, heads, patches] each, the class token left out. */
export interface ImageAttention {
  /** Lengths of the axes of both. */
  readonly dims: readonly [images: number, heads: number, patches: number];
  /** First layer, and that before the last of the encoder. */
  readonly first: Float32Array;
  /** Layer before the last, [images, heads, patches]. */
  readonly penultimate: Float32Array;
}

/** What is known of the sequence that a call of the model belongs to. */
export interface RequestState {
  /** Number of session runs since the prompt; 0 at prefill. */
  readonly step: number;
  /** Tokens before this run, those whose keys were left out of the cache included. */
  readonly past: number;
  /** What the cache keeps, where keys were left out of it: before this run, and afterwards behind it. */
  readonly cache?: CacheNote | undefined;
  /** Token ids of the prompt, [B][S], where the ids pass through JavaScript; undefined otherwise. */
  readonly promptIds: readonly (readonly number[])[] | undefined;
  /** Runs of image tokens in the sequence so far; empty without an image. Columns count from the cache's first. */
  readonly imageSpans: readonly Span[];
  /** Those of this run, columns counted from its own first token; undefined where the token ids were not seen. */
  readonly spansHere: readonly Span[] | undefined;
  /** Of the images encoded for this run, for interventions that need it. */
  readonly imageAttention?: ImageAttention | undefined;
}

/** What a call ran: a forward pass, or a whole generation with all candidates of a search. */
export interface Work {
  /** Passes of the model. */
  readonly calls: number;
  /** Positions in them, over all rows. */
  readonly tokens: number;
  /** Time inside them, and inside the first of them, which is the prompt's. */
  readonly ms: number;
  /** Milliseconds inside the first pass, which is the prompt's. */
  readonly promptMs: number;
}

const UNKNOWN: RequestState = { step: 0, past: 0, promptIds: undefined, imageSpans: [], spansHere: [] };

/**
 * Follows the runs of a request and tells prefill from decode. What is known of a sequence is kept beside the tensors of its
 * cache, so that sequences may alternate; a cache that was put together by others continues the request's last run.
 */
export class RequestTracker {
  readonly #imageToken: number | undefined;
  readonly #byCache: WeakMap<OrtTensor, RequestState>;
  readonly #parent: RequestTracker | undefined;
  #embedded: readonly (readonly number[])[] | undefined;
  #imageAttention: ImageAttention | undefined;
  #state: RequestState;
  #work: Work = { calls: 0, tokens: 0, ms: 0, promptMs: 0 };

  constructor(imageToken: number | undefined, like?: RequestTracker, parent?: RequestTracker) {
    this.#imageToken = imageToken;
    this.#parent = parent;
    this.#byCache = like ? like.#byCache : new WeakMap();
    this.#state = like ? like.#state : UNKNOWN;
  }

  /** Of the last run. */
  get state(): RequestState {
    return this.#state;
  }

  /** What the last call ran, or that under way so far. */
  get work(): Work {
    return this.#work;
  }

  /** Of a call that begins here. What it comes to know is known here, too, as the last run's. */
  fork(): RequestTracker {
    return new RequestTracker(this.#imageToken, this, this);
  }

  /** Of a second stream beside this one, which is not told of it. */
  apart(): RequestTracker {
    return new RequestTracker(this.#imageToken, this);
  }

  #become(state: RequestState): void {
    this.#state = state;
    if (this.#parent) this.#parent.#become(state);
  }

  /** A pass of this call has run. */
  count(tokens: number, ms: number): void {
    const { calls, tokens: before, ms: past, promptMs } = this.#work;
    const first = calls === 0 ? ms : promptMs;
    this.#worked({ calls: calls + 1, tokens: before + tokens, ms: past + ms, promptMs: first });
  }

  #worked(work: Work): void {
    this.#work = work;
    if (this.#parent) this.#parent.#worked(work);
  }

  /** What the request was when these outputs were made. */
  remember(outputs: Readonly<Record<string, OrtTensor>>, request: RequestState, cache?: CacheNote): void {
    const state = cache || request.cache ? { ...request, cache } : request;
    for (const [name, tensor] of Object.entries(outputs)) {
      if (name.startsWith('present')) this.#byCache.set(tensor, state);
    }
    if (state !== request) this.#become(state);
  }

  /** What was noted of the cache that a tensor belongs to. */
  noteOf(tensor: OrtTensor): CacheNote | undefined {
    return this.#byCache.get(tensor)?.cache;
  }

  /** Token ids that an embedding session saw; the decoder that follows only sees embeddings. */
  observeEmbedding(feeds: Feeds): void {
    if (feeds.input_ids) this.#embedded = tokenRows(feeds.input_ids);
  }

  /** @throws AttuneError IMAGE_TOKEN_MISSING when an image is about to be encoded that the prompt has no place for */
  expectImage(): void {
    const token = this.#imageToken;
    if (token === undefined || this.#embedded?.some((row) => row.includes(token))) return;
    throw new AttuneError('IMAGE_TOKEN_MISSING', {
      found: 'an image, and a prompt without image tokens',
      expected: `token ${token} where the image belongs`,
      hint: 'Put the image placeholder (such as <image>) into the prompt, or use the processor with its chat template.',
    });
  }

  /** What the images of the next run attend to. */
  observeImages(attention: ImageAttention): void {
    this.#imageAttention = attention;
  }

  /** Called before each decoder run. */
  observeRun(feeds: Feeds): RequestState {
    const held = cacheOf(feeds);
    const cache = held && this.noteOf(held);
    const past = cache?.tokens ?? pastLength(feeds);
    const ids = this.#idsOf(feeds);
    const spansHere = this.#imageToken === undefined ? [] : ids && findSpans(ids, this.#imageToken);
    const moved = (spansHere ?? []).map(({ row, from, to }) => ({ row, from: past + from, to: past + to }));
    const { step, promptIds, imageSpans } = this.#before(feeds, past);
    const imageAttention = this.#imageAttention;
    this.#imageAttention = undefined;
    // One list for the whole sequence, whether its prompt came at once or in pieces.
    const state =
      past > 0
        ? {
            step: step + 1,
            past,
            promptIds,
            imageSpans: [...imageSpans, ...moved],
            spansHere,
            imageAttention,
            ...(cache && { cache }),
          }
        : { step: 0, past: 0, promptIds: ids, imageSpans: moved, spansHere, imageAttention };
    this.#become(state);
    return state;
  }

  /** What is known of the sequence that a call continues. */
  #before(feeds: Feeds, past: number): RequestState {
    const cache = cacheOf(feeds);
    const known = cache && this.#byCache.get(cache);
    if (known) return known;
    const { imageSpans, cache: _, ...last } = this.#state;
    return { ...last, imageSpans: imageSpans.filter(({ to }) => to <= past) };
  }

  /** Token ids of a run. Those an embedding session saw are of the next run only, and of one that fits them. */
  #idsOf({ input_ids, inputs_embeds }: Feeds): readonly (readonly number[])[] | undefined {
    if (input_ids) return tokenRows(input_ids);
    const embedded = this.#embedded;
    this.#embedded = undefined;
    const [rows, length] = inputs_embeds?.dims ?? [];
    return embedded?.length === rows && embedded?.[0]?.length === length ? embedded : undefined;
  }
}

/** Runs of one token id, row by row. */
export function findSpans(rows: readonly (readonly number[])[], token: number): Span[] {
  const spans: Span[] = [];
  rows.forEach((ids, row) => {
    for (let from = ids.indexOf(token); from >= 0; from = ids.indexOf(token, from)) {
      let to = from;
      while (ids[to] === token) to++;
      spans.push({ row, from, to });
      from = to;
    }
  });
  return spans;
}

function tokenRows(tensor: { dims: readonly number[]; data: unknown }): number[][] {
  const [rows = 1, length = 0] = tensor.dims;
  const ids = Array.from(tensor.data as ArrayLike<bigint | number>, Number);
  return Array.from({ length: rows }, (_, row) => ids.slice(row * length, (row + 1) * length));
}

function pastLength(feeds: Feeds): number {
  for (const [name, tensor] of Object.entries(feeds)) {
    if (/^past.*(key|value)$/.test(name) && !name.includes('encoder')) return tensor.dims.at(-2) ?? 0;
  }
  return 0;
}
