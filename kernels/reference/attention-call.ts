/** One attention call, as data. Letters in tensor.ts. */
import type { Rope } from './re-position.ts';
import type { Tensor } from './tensor.ts';
import type { Mask } from './visibility.ts';

export interface AttentionCall {
  /** (B, H, S, D); rotated, unless there is a `rope`. */
  readonly q: Tensor;
  /** (B, K, T, D) and (B, K, T, E): earlier calls included. */
  readonly k: Tensor;
  readonly v: Tensor;
  /** Default 1/√D. */
  readonly scale?: number | undefined;
  readonly softcap?: number | undefined;
  /** (H): a logit that takes part in the denominator only. */
  readonly headSink?: Tensor | undefined;
  readonly mask?: Mask | undefined;
  /** (B|1, H|1, S|1, T|1), added to the logits: the model's own. */
  readonly bias?: Tensor | undefined;
  /** How q and k are still to be rotated, where an edit of stage 'documents' does it. */
  readonly rope?: Rope | undefined;
}
