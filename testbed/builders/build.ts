/** What a decoder is built from, and one under construction. */
import type { DecoderConfig } from './decoder-config.ts';
import type { GraphEmitter } from './emitter.ts';
import type { Parameters } from './parameters.ts';

export type WeightFormat =
  | { readonly kind: 'float32' }
  | {
      readonly kind: 'int4';
      readonly blockSize: number;
      /** 0 or 1: float32 arithmetic; 4: activations in int8, the exporters' default on CPU. */
      readonly accuracyLevel: number;
    };

interface SharedOptions {
  /** Format of linear layers; default float32. */
  readonly weights?: WeightFormat;
  /** Format of the embedding table; default float32. 'int4' needs int4 weights and uses GatherBlockQuantized. */
  readonly embedding?: 'float32' | 'int4';
  /** Take position_ids as an input. Default: true; false where GroupQueryAttention rotates. */
  readonly positionIds?: boolean;
  /** Take num_logits_to_keep as an input, as recent Hub exports do; default false. */
  readonly numLogitsToKeep?: boolean;
}

/** MatMul, Softmax, MatMul, as optimum exports. */
export interface DecomposedOptions extends SharedOptions {
  readonly form: 'decomposed';
  /** RMSNorm as arithmetic (default) or as the operator SimplifiedLayerNormalization. */
  readonly norm?: 'decomposed' | 'fused';
}

/** GroupQueryAttention, as onnxruntime-genai's builder makes it. */
export interface GqaOptions extends SharedOptions {
  readonly form: 'gqa';
  /**
   * Rotate inside GroupQueryAttention (do_rotary = 1) or by RotaryEmbedding nodes before it. Default: fused where
   * the CPU provider takes it, that is where the head size is a multiple of 16.
   */
  readonly rotary?: 'fused' | 'separate';
  /** One projection for q, k and v, packed; needs fused rotary. Default false. */
  readonly packedQkv?: boolean;
}

export type DecoderOptions = DecomposedOptions | GqaOptions;

/** One decoder under construction: what every part of the emitter needs. */
export interface Build {
  readonly g: GraphEmitter;
  readonly config: DecoderConfig;
  readonly parameters: Parameters;
  readonly options: ResolvedOptions;
}

/** Options with defaults filled in; those of the other form have theirs too. */
export type ResolvedOptions = Required<Omit<DecomposedOptions, 'form'> & Omit<GqaOptions, 'form'>>;
