/**
 * One attention call with what is to be done to it, as data: what the float64 reference solves, what lowerings are
 * tested on, what golden cases are turned into.
 */
import type { Edit } from './edits/edit.ts';
import type { AttentionCall } from './reference/attention-call.ts';
import type { Tensor } from './reference/tensor.ts';

export interface Problem extends AttentionCall {
  /** In any order; they act in the one of kernels/edits. Default: none. */
  readonly edits?: readonly AppliedEdit[] | undefined;
}

export interface AppliedEdit {
  readonly edit: Edit;
  /** Knobs by name, and states as past_…; what is not given is neutral, or the start of a sequence. */
  readonly values: Readonly<Record<string, Tensor>>;
}

/** What came out. Only `output` is always there: an operator that stays shows no probabilities. */
export interface Solution {
  /** (B, H, S, E). */
  readonly output: Tensor;
  readonly probs?: Tensor | undefined;
  /** Before any edit. */
  readonly baseOutput?: Tensor | undefined;
  readonly baseProbs?: Tensor | undefined;
  /** What edits found, (B, H, T) or, where each row finds its own, (B, H, S, T). */
  readonly found?: Readonly<Record<string, Tensor>> | undefined;
  /** What edits leave to the next call, (B, heads, T). */
  readonly states?: Readonly<Record<string, Tensor>> | undefined;
  /** (B, H, S, G) weights of the groups of an edit that moves weight between groups, before it, and its factors. */
  readonly masses?: Tensor | undefined;
  readonly weights?: Tensor | undefined;
}
