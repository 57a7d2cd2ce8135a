/** What a token view shows: the attention of every head over the tokens of one prompt, under each setting. */

export interface TokenView {
  readonly title: string;
  /** Of the prompt, as they are written. */
  readonly tokens: readonly string[];
  readonly layers: number;
  readonly heads: number;
  /** The baseline first. */
  readonly settings: readonly TokenViewSetting[];
}

export interface TokenViewSetting {
  readonly label: string;
  /** As JSON; nothing for the baseline. */
  readonly specification?: unknown;
  /** Base64 of ⌊255 √p + ½⌋, a byte for each entry of [layers, heads, S, S]: small probabilities keep their digits. */
  readonly pattern: string;
  /** The likeliest next tokens. */
  readonly next: readonly LikelyToken[];
}

export type LikelyToken = readonly [token: string, probability: number];

interface Pattern {
  /** [B, H, S, T] */
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

/** @param layers one pattern a layer, of the first batch row; layers with fewer heads are filled up with zeros */
export function packedPattern(layers: readonly Pattern[], heads: number): string {
  const [, , S = 0, T = 0] = layers[0]?.dims ?? [];
  const bytes = new Uint8Array(layers.length * heads * S * T);
  layers.forEach(({ dims, data }, layer) => {
    const count = (dims[1] ?? 0) * S * T;
    for (let i = 0; i < count; i++) bytes[layer * heads * S * T + i] = Math.round(255 * Math.sqrt(data[i]!));
  });
  return base64(bytes);
}

function base64(bytes: Uint8Array): string {
  let text = '';
  // String.fromCharCode takes so many arguments on every platform.
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

/** The likeliest tokens after a prompt. @param logits of its last position, [V] */
export function likeliest(logits: Float32Array, word: (token: number) => string, count = 5): LikelyToken[] {
  const top = Array.from(logits, (logit, token) => ({ logit, token })).sort((a, b) => b.logit - a.logit);
  const largest = top[0]?.logit ?? 0;
  const sum = top.reduce((total, { logit }) => total + Math.exp(logit - largest), 0);
  return top
    .slice(0, count)
    .map(({ logit, token }) => [word(token), Math.exp(logit - largest) / sum] as const);
}
