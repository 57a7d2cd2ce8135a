/**
 * A Llama in a GGUF file as the builders take it.
 *
 * | GGUF | Hugging Face | change |
 * | --- | --- | --- |
 * | token_embd | model.embed_tokens | |
 * | blk.i.attn_norm, ffn_norm | model.layers.i.input_layernorm, post_attention_layernorm | |
 * | blk.i.attn_q, attn_k | …self_attn.q_proj, k_proj | rows of each head from interleaved to half-split rotary pairs |
 * | blk.i.attn_v, attn_output | …self_attn.v_proj, o_proj | |
 * | blk.i.ffn_gate, ffn_up, ffn_down | …mlp.gate_proj, up_proj, down_proj | |
 * | output_norm | model.norm | |
 * | output, where it is not tied | lm_head | |
 *
 * In float32 a weight is exactly what the file says. In 4 bits it is quantised again, from Q4_1 (d q + m) to
 * MatMulNBits' symmetric blocks of 32 (s (q − 8)): no choice of s and an integer zero point gives d q + m.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import type { DecoderConfig } from '../builders/decoder-config.ts';
import { halfSplit } from '../builders/half-split.ts';
import { type Int4Matrix, quantizeInt4 } from '../builders/int4.ts';
import type { Parameters } from '../builders/parameters.ts';
import type { GgufFile } from './gguf-file.ts';

const count = z.number().int().positive();

const header = z.object({
  'general.architecture': z.literal('llama'),
  'llama.block_count': count,
  'llama.context_length': count,
  'llama.embedding_length': count,
  'llama.feed_forward_length': count,
  'llama.attention.head_count': count,
  'llama.attention.head_count_kv': count,
  'llama.attention.layer_norm_rms_epsilon': z.number().positive(),
  'llama.rope.freq_base': z.number().positive(),
  'llama.vocab_size': count,
});

/** @throws AttuneError CHECKPOINT_FORMAT for another architecture, or a rotary embedding that is scaled */
export function llamaConfig(file: GgufFile): DecoderConfig {
  const { data, error } = header.safeParse(file.metadata);
  const scaled = Object.keys(file.metadata).find((key) => key.startsWith('llama.rope.scaling'));
  if (!data || scaled || file.has('rope_freqs.weight')) {
    throw new AttuneError('CHECKPOINT_FORMAT', {
      at: file.path,
      found: error ? z.prettifyError(error) : (scaled ?? 'rope_freqs.weight'),
      expected: 'a Llama with plain rotary embeddings',
    });
  }
  const numHeads = data['llama.attention.head_count'];
  const hiddenSize = data['llama.embedding_length'];
  return {
    modelType: 'llama',
    vocabSize: data['llama.vocab_size'],
    hiddenSize,
    intermediateSize: data['llama.feed_forward_length'],
    numLayers: data['llama.block_count'],
    numHeads,
    numKeyValueHeads: data['llama.attention.head_count_kv'],
    headDim: hiddenSize / numHeads,
    // float32 in the file: 9.999999747378752e-06
    rmsNormEps: Number(data['llama.attention.layer_norm_rms_epsilon'].toPrecision(7)),
    ropeTheta: data['llama.rope.freq_base'],
    maxPositions: data['llama.context_length'],
    tieWordEmbeddings: !file.has('output.weight'),
  };
}

const ENDS: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
};

const IN_A_LAYER: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

/** Read from the file when they are asked for, one at a time. */
export function llamaParameters(file: GgufFile, config: DecoderConfig): Parameters {
  const float = (name: string, dims: readonly number[]): Float32Array => {
    const from = ggufName(name);
    const shape = file.shape(from);
    if (shape.join() !== dims.join()) {
      throw new AttuneError('PARAMETER_MISMATCH', { at: name, found: `[${shape}]`, expected: `[${dims}]` });
    }
    const values = file.tensor(from);
    if (name.endsWith('q_proj.weight')) return halfSplit(values, config.numHeads, config.headDim);
    if (name.endsWith('k_proj.weight')) return halfSplit(values, config.numKeyValueHeads, config.headDim);
    return values;
  };
  // Quants and scales are asked for one after the other.
  let last: { key: string; matrix: Int4Matrix } | undefined;
  const int4 = (name: string, rows: number, columns: number, blockSize: number): Int4Matrix => {
    const key = `${name}/${blockSize}`;
    if (last?.key !== key) {
      last = { key, matrix: quantizeInt4(float(name, [rows, columns]), rows, columns, blockSize) };
    }
    return last.matrix;
  };
  return { float, int4 };
}

/** 'model.layers.3.mlp.up_proj.weight' → 'blk.3.ffn_up.weight' */
function ggufName(name: string): string {
  const base = name.replace(/\.weight$/, '');
  const [, layer, part] = base.match(/^model\.layers\.(\d+)\.(.+)$/) ?? [];
  return part === undefined ? `${ENDS[base]}.weight` : `blk.${layer}.${IN_A_LAYER[part]}.weight`;
}
