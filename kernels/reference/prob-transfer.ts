/**
 * probTransfer (G4): keys fall into groups, a rule looks at the masses m_g a row gives to the groups and answers with one
 * factor per group; P' = w_{g(t)} · P. The rules below keep row sums: what one group loses another gains.
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

/** P' = w_{g(t)} P. */
export function probTransfer(probs: Tensor, groups: Tensor, G: number, rule: TransferRule): Tensor {
  const weights = transferWeights(massesOf(probs, groups, G), rule);
  return build(probs.shape, (b, h, s, t) => {
    return at(weights, b!, h!, s!, at(groups, b!, h!, s!, t!)) * at(probs, b!, h!, s!, t!);
  });
}

/**
 * ACT (Yu et al., arXiv 2406.15765): groups 0 rest, 1 sinks. Sinks keep the share β, the rest grows in proportion:
 *   w_1 = β        w_0 = (m_0 + (1-β) m_1) / m_0
 */
export function actRule(beta: number, heads?: ReadonlySet<number>): TransferRule {
  return ([rest, sinks], _b, h) => {
    if (rest === 0 || (heads && !heads.has(h))) return [1, 1];
    return [(rest! + (1 - beta) * sinks!) / rest!, beta];
  };
}

/**
 * ZeroTuning (Han et al., arXiv 2505.11739): groups 0 rest, 1 the scaled tokens.
 *   w_1 = γ / (1 + (γ-1) m_1)        w_0 = 1 / (1 + (γ-1) m_1)
 * A row that would lose all its mass (γ = 0, nothing else visible) stays as it is.
 * @param gamma per query head
 */
export function zeroTuningRule(gamma: readonly number[]): TransferRule {
  return ([, set], _b, h) => {
    const g = gamma[h]!;
    const total = 1 + (g - 1) * set!;
    return total === 0 ? [1, 1] : [1 / total, g / total];
  };
}

/** Group ids of VAR. */
export const VAR_GROUP = { other: 0, textSink: 1, visualSink: 2, visual: 3 } as const;

export interface VarOptions {
  /** Share of every sink's weight that is moved. */
  readonly p: number;
  /** Smallest share of a row's visual mass that must lie outside sinks. */
  readonly rho: number;
  /** Smallest visual mass of a row. */
  readonly minVisual: number;
  /** Rows that may change: (B, S). */
  readonly eligible: Tensor;
  /** 'code': the released repository's test, which skips items without a visual sink. Default 'paper'. */
  readonly semantics?: 'paper' | 'code' | undefined;
  /** Per batch row: number of visual tokens and of visual sinks; needed by 'code'. */
  readonly visualTokens?: readonly number[] | undefined;
  readonly visualSinks?: readonly number[] | undefined;
  /** Per batch row: number of sinks of any kind. Rows of an item without any stay as they are. */
  readonly sinks: readonly number[];
}

/**
 * VAR (Kang et al., arXiv 2503.03321): groups by VAR_GROUP. In selected rows
 *   w = 1-p on both sink groups,   1 + p m_sinks / m_visual on visual non-sinks,   1 on the others.
 */
export function varRule(options: VarOptions): TransferRule {
  return (m, b, h, s) => (varSelects(options, m, b, h, s) ? varWeights(options.p, m) : [1, 1, 1, 1]);
}

function varWeights(p: number, m: Float64Array): number[] {
  const sinks = m[VAR_GROUP.textSink]! + m[VAR_GROUP.visualSink]!;
  return [1, 1 - p, 1 - p, 1 + (p * sinks) / m[VAR_GROUP.visual]!];
}

/** Whether a row passes VAR's mass and ratio test. */
export function varSelects(options: VarOptions, m: Float64Array, b: number, _h: number, s: number): boolean {
  const { rho, minVisual, eligible, semantics = 'paper', sinks } = options;
  const receiving = m[VAR_GROUP.visual]!;
  const visual = receiving + m[VAR_GROUP.visualSink]!;
  if (at(eligible, b, s) === 0 || visual < minVisual || receiving <= 0) return false;
  if (semantics === 'paper') return sinks[b]! > 0 && receiving / visual >= rho;
  // The repository adds 1e-6 per visual token to the denominator and compares the sinks' share.
  const share = m[VAR_GROUP.visualSink]! / (visual + 1e-6 * (options.visualTokens?.[b] ?? 0));
  return (options.visualSinks?.[b] ?? 0) > 0 && share <= 1 - rho;
}
