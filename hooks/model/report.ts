/** The order interventions are stacked in, and what they report of a call. */

/**
 * Where in an attention layer a kind acts; kinds are stacked in this order
 * (rotary positions, keys, logits, probabilities, head outputs, residual stream, next-token logits).
 */
export const STAGES = [
  'positions',
  'keys',
  'logits',
  'probabilities',
  'heads',
  'residual',
  'decoding',
] as const;
/** Where in a layer a kind of intervention acts. */
export type Stage = (typeof STAGES)[number];

/** A number, or a table of them. */
export type Report = number | { readonly dims: readonly number[]; readonly data: Float32Array };
