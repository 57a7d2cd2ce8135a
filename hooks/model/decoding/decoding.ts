/**
 * What an intervention may do after the logits. A contrast runs a second stream beside the first (a noised image, no
 * image) and makes the next-token scores from both; a search replaces `generate` (beams with a penalty of their own).
 * Either works on a transformers.js model as it is: streamers, sampling and stopping stay its own.
 */
import type { Activation } from '../activation.ts';
import type { ModelFacts } from '../facts.ts';
import type { RequestState } from '../request.ts';

/** A transformers.js tensor, as far as it is used here. */
export interface ModelTensor {
  /** Element type, such as float32. */
  readonly type: string;
  /** Lengths of the axes. */
  readonly dims: readonly number[];
  /** Row-major elements. */
  readonly data: unknown;
  /** A copy in another element type. */
  to(type: 'float32'): ModelTensor;
}

/** What a model is called with: input_ids [B,S], attention_mask [B,T], pixel_values, past_key_values, … */
export type ModelInputs = Readonly<Record<string, unknown>>;

/** A second stream that runs beside the first, and how next-token scores are made from both. */
export interface Contrast {
  /** Tells it from a search. */
  readonly kind: 'contrast';
  /**
   * The second stream's prompt, from the first's; undefined where there is nothing to contrast (no image). Every later call
   * gives it the same new tokens over a cache of its own.
   */
  second(inputs: ModelInputs, context: ContrastContext): ModelInputs | undefined;
  /** Do the intervention's own edits of the graph act in the second stream too? Those of others always do. Default false. */
  readonly editsSecond?: boolean;
  /** Interventions that act in the second stream alone, or their JSON. */
  readonly aside?: readonly { readonly intervention: string }[];
  /**
   * Next-token scores of one position from both streams' logits, [V] each, written into `first`. Minus infinity forbids a token.
   * Positions meet from the end: the streams' prompts may differ in length, what follows the image may not.
   */
  combine(first: Float32Array, second: Float32Array): void;
}

/** What `second` may use of the model. */
export interface ContrastContext {
  /** Makes a tensor of the model's library: float32, int64. */
  tensor(type: 'float32' | 'int64', data: Float32Array | BigInt64Array, dims: readonly number[]): ModelTensor;
  /** Token that stands for image features; undefined in a model of text. */
  readonly imageToken: number | undefined;
}

/** A search that takes the place of `generate`. */
export interface Search {
  /** Tells it from a contrast. */
  readonly kind: 'search';
  /** In place of `model.generate`. @param options what it was called with @returns what it would return */
  generate(model: SearchModel, options: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** What an intervention may do after the logits. */
export type Decoding = Contrast | Search;

/** What a search may ask of a model's handle (model.ts). */
export interface SearchHandle {
  readonly facts: ModelFacts;
  readonly request: RequestState;
  /** Run `work` with hook points at hand that it may listen to, on the view of the model that it is given. */
  watch<T>(
    filter: string | readonly string[],
    work: (
      listen: (listener: (values: ReadonlyMap<string, Activation>) => void) => () => void,
      model: SearchModel,
    ) => Promise<T>,
  ): Promise<T>;
}

/** A model with a handle, whose own generate is out of the way. */
export interface SearchModel {
  /** Runs the model once. */
  (inputs: ModelInputs): Promise<Record<string, unknown>>;
  /** Hook points and what is known of the model. */
  readonly attune: SearchHandle;
  /** As transformers.js has it: the inputs of the next call. */
  prepare_inputs_for_generation?(ids: bigint[][], inputs: object, config: object): ModelInputs;
  /** config.json of the model. */
  // biome-ignore lint/suspicious/noExplicitAny: transformers.js types its configuration so
  readonly config: any;
  /** generation_config.json of the model. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly generation_config?: any;
}
