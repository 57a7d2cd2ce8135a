/**
 * One attention call with what is to be done to it, as data: what the float64 reference solves, what lowerings are
 * tested on, what golden cases are turned into.
 */
import type { Threshold } from './detect/sinks.ts';
import type { ColumnState } from './reference/column-statistics.ts';
import type { HeadAffine } from './reference/head-affine.ts';
import type { LogitAffine } from './reference/logit-affine.ts';
import type { Rope } from './reference/re-position.ts';
import type { Segments } from './reference/segments.ts';
import type { Tensor } from './reference/tensor.ts';
import type { Mask } from './reference/visibility.ts';

export interface Problem {
  /** (B, H, S, D); rotated, unless the edit is 'segments'. */
  readonly q: Tensor;
  /** (B, K, T, D) and (B, K, T, E): earlier calls included. */
  readonly k: Tensor;
  readonly v: Tensor;
  /** Default 1/√D. */
  readonly scale?: number | undefined;
  readonly softcap?: number | undefined;
  readonly headSink?: Tensor | undefined;
  readonly mask?: Mask | undefined;
  readonly edit: Edit;
}

export type Edit =
  | { readonly kind: 'none' }
  | ({ readonly kind: 'logits' } & LogitAffine)
  /** Multiply the weight of the marked keys (B, T) by weight[h] and renormalise. */
  | { readonly kind: 'logWeights'; readonly keys: Tensor; readonly weight: readonly number[] }
  | ({ readonly kind: 'act' } & ActEdit)
  | ({ readonly kind: 'var' } & VarEdit)
  | ({ readonly kind: 'heads' } & HeadAffine)
  | { readonly kind: 'segments'; readonly segments: Segments; readonly rope: Rope };

export interface ActEdit {
  /** Query heads that are calibrated. */
  readonly heads: readonly number[];
  readonly beta: number;
  readonly threshold: Threshold;
  readonly exclude: 'initial' | 'first_detected';
  /**
   * Where sinks come from: 'chunk' the rows of this call, 'running' these and all earlier ones, 'frozen' given, 'row'
   * each row by itself.
   */
  readonly stats: 'chunk' | 'running' | 'frozen' | 'row';
  /** Column of the first real token per batch row. */
  readonly first: readonly number[];
  readonly before?: ColumnState | undefined;
  /** (B, H, T), for 'frozen'. */
  readonly sinks?: Tensor | undefined;
}

export interface VarEdit {
  readonly p: number;
  readonly rho: number;
  readonly minVisual: number;
  readonly semantics: 'paper' | 'code';
  /** (B, T) of 0 and 1. */
  readonly sink: Tensor;
  readonly visual: Tensor;
  /** (B, S) rows that may change. */
  readonly eligible: Tensor;
}

/** What came out. Only `output` is always there: fused lowerings see no probabilities. */
export interface Solution {
  /** (B, H, S, E). */
  readonly output: Tensor;
  readonly probs?: Tensor | undefined;
  /** Before the edit. */
  readonly baseOutput?: Tensor | undefined;
  readonly baseProbs?: Tensor | undefined;
  /** (B, H, T), or (B, H, S, T) for 'row'. */
  readonly sinks?: Tensor | undefined;
  /** (B, H, T) and the new running state. */
  readonly score?: Tensor | undefined;
  readonly state?: ColumnState | undefined;
  /** (B, H, S, G) group masses before the edit; groups of 'var' as VAR_GROUP, else rest and set. */
  readonly masses?: Tensor | undefined;
  /** (B, H, S, G) factors per group. */
  readonly weights?: Tensor | undefined;
}
