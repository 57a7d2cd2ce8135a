/**
 * The shape of a Llama- or Qwen2-style decoder, in the letters used everywhere:
 * B batch, S new tokens, T = past + S, H query heads, K kv heads, D head size.
 */
export interface DecoderConfig {
  /** 'qwen2' adds a bias to the q, k and v projections. */
  readonly modelType: 'llama' | 'qwen2';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  /** H */
  readonly numHeads: number;
  /** K */
  readonly numKeyValueHeads: number;
  /** D */
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly maxPositions: number;
  /** lm_head uses the embedding's values; they are still written twice, as the exporters do. */
  readonly tieWordEmbeddings: boolean;
  /** Factor of q·k; default 1/√D. Given where heads were padded with zeros and D is not the real size. */
  readonly attentionScale?: number;
  /** Angle per position of pair (i, i + D/2), D/2 of them; default ropeTheta^(-2i/D). */
  readonly inverseFrequencies?: readonly number[];
}

export function attentionScale({ attentionScale, headDim }: DecoderConfig): number {
  return attentionScale ?? 1 / Math.sqrt(headDim);
}

export function inverseFrequencies({ inverseFrequencies, headDim, ropeTheta }: DecoderConfig): number[] {
  if (inverseFrequencies) return [...inverseFrequencies];
  return Array.from({ length: headDim / 2 }, (_, i) => ropeTheta ** ((-2 * i) / headDim));
}

/** What decoders of this kind say in the Hub's config.json. */
export function hubConfig(config: DecoderConfig): Record<string, unknown> {
  return {
    architectures: [config.modelType === 'llama' ? 'LlamaForCausalLM' : 'Qwen2ForCausalLM'],
    model_type: config.modelType,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKeyValueHeads,
    head_dim: config.headDim,
    hidden_act: 'silu',
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: null,
    tie_word_embeddings: config.tieWordEmbeddings,
    torch_dtype: 'float32',
    use_cache: true,
  };
}
