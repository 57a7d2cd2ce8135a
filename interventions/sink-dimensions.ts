/**
 * Hidden dimensions with massive activations, per language model: where the residual stream of sink tokens is extreme.
 * They belong to a checkpoint; a fine-tune may move them. Sources: released code of VAR (LLaMA-2, Vicuna), its paper as
 * quoted by others (Qwen2-VL-7B, InternVL2), third parties (the rest).
 */

/** An intervention takes up to this many. */
export const MOST_DIMENSIONS = 8;

export const SINK_DIMENSIONS = {
  'llama-2-7b': [1415, 2533],
  'llama-2-13b': [2100, 4743],
  'llama-3-8b': [788, 1384, 4062],
  'qwen2-vl-2b': [1073, 534, 940],
  'qwen2-vl-7b': [458, 2570],
  'qwen2.5-vl-3b': [318, 1874, 1819],
  'qwen2.5-vl-7b': [458, 2570],
  'qwen2.5-vl-32b': [4675, 3094],
  'internvl2-8b': [3584],
} as const satisfies Record<string, readonly number[]>;

/** Models whose sink dimensions are known. */
export type SinkPreset = keyof typeof SINK_DIMENSIONS;

export const sinkPresets = Object.keys(SINK_DIMENSIONS) as [SinkPreset, ...SinkPreset[]];
