/**
 * Heads padded with zeros to a larger size, which changes nothing: CPU GroupQueryAttention rotates inside
 * (do_rotary = 1) only where the head size is a multiple of 16.
 *
 * Half-split row j < D/2 of a head goes to place j, row j ≥ D/2 to place j + (D' - D)/2, so that pairs stay
 * pairs; the added pairs do not turn, and the logit scale stays that of the real head size.
 */
import { attentionScale, inverseFrequencies } from '../builders/decoder-config.ts';
import type { Checkpoint } from './checkpoint.ts';

export function widenHeads({ config, parameters }: Checkpoint, headDim: number): Checkpoint {
  const { numHeads: H, numKeyValueHeads: K, headDim: D, hiddenSize, numLayers } = config;
  const added = (headDim - D) / 2;
  const place = (j: number) => (j < D / 2 ? j : j + added);
  /** Move rows (outer = heads) or columns (outer = rows · heads) of `inner` elements each. */
  const spread = (weights: Float32Array, outer: number, inner: number) => {
    const result = new Float32Array(outer * headDim * inner);
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < D; j++) {
        const from = (o * D + j) * inner;
        result.set(weights.subarray(from, from + inner), (o * headDim + place(j)) * inner);
      }
    }
    return result;
  };
  const widened = new Map(parameters);
  for (let i = 0; i < numLayers; i++) {
    const change = (name: string, outer: number, inner: number) => {
      const key = `model.layers.${i}.self_attn.${name}.weight`;
      widened.set(key, spread(parameters.get(key)!, outer, inner));
    };
    change('q_proj', H, hiddenSize);
    change('k_proj', K, hiddenSize);
    change('v_proj', K, hiddenSize);
    change('o_proj', hiddenSize * H, 1);
  }
  return {
    config: {
      ...config,
      headDim,
      attentionScale: attentionScale(config),
      inverseFrequencies: [...inverseFrequencies(config), ...new Array<number>(added).fill(0)],
    },
    parameters: widened,
  };
}
