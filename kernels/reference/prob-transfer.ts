/**
 * probTransfer (G4): keys fall into groups, a rule looks at the masses m_g a row gives to the groups and answers with one
 * factor per group; P' = w_{g(t)} · P. Edits give rules that keep row sums: what one group loses another gains.
 */
import { at, block, build, indices, type Tensor, zeros } from './tensor.ts';

/** One row's masses (G) to one factor per group; `b`, `h`, `s` for conditions on head and row. */
export type TransferRule = (masses: Float64Array, b: number, h: number, s: number) => readonly number[];

/** m_g = Σ_{t in g} P: (B, H, S, G). `groups` broadcasts to (B, H, S, T). */
export function massesOf(probs: Tensor, groups: Tensor, G: number): Tensor {
  const [B, H, S] = probs.shape as [number, number, number];
  const masses = zeros(B, H, S, G);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const m = block(masses, b, h, s);
    for (const [t, p] of block(probs, b, h, s).entries()) m[at(groups, b, h, s, t)]! += p;
  }
  return masses;
}

/** w_g of every row: (B, H, S, G). */
export function transferWeights(masses: Tensor, rule: TransferRule): Tensor {
  const [B, H, S] = masses.shape as [number, number, number];
  const weights = zeros(...masses.shape);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    block(weights, b, h, s).set(rule(block(masses, b, h, s), b, h, s));
  }
  return weights;
}

/** Probabilities after a transfer, and what it was. */
export interface Transferred {
  readonly probs: Tensor;
  readonly groups: Tensor;
  readonly rule: TransferRule;
  /** (B, H, S, G), before. */
  readonly masses: Tensor;
  readonly weights: Tensor;
}

/** P' = w_{g(t)} P. */
export function probTransfer(probs: Tensor, groups: Tensor, G: number, rule: TransferRule): Transferred {
  const masses = massesOf(probs, groups, G);
  const weights = transferWeights(masses, rule);
  const edited = build(probs.shape, (b, h, s, t) => {
    return at(weights, b!, h!, s!, at(groups, b!, h!, s!, t!)) * at(probs, b!, h!, s!, t!);
  });
  return { probs: edited, groups, rule, masses, weights };
}
