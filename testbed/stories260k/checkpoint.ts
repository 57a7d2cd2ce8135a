/**
 * Reading stories260K.bin: a Llama checkpoint in llama2.c's legacy (version 0) format, as parameters with Hugging
 * Face names and layout. Format: github.com/karpathy/llama2.c, export.py `legacy_export`.
 */
import { readFileSync } from 'node:fs';
import { AttuneError } from '../../errors.ts';
import type { DecoderConfig } from '../builders/decoder-config.ts';
import { halfSplit } from '../builders/half-split.ts';

export interface Checkpoint {
  readonly config: DecoderConfig;
  readonly parameters: ReadonlyMap<string, Float32Array>;
}

/** Seven int32. */
const HEADER = 28;

/**
 * Only checkpoints whose classifier is tied to the embedding, as stories260K's is.
 * @throws AttuneError CHECKPOINT_FORMAT when the file is not as long as its header says
 */
export function readCheckpoint(path: string): Checkpoint {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const refuse = (expected: string) =>
    new AttuneError('CHECKPOINT_FORMAT', {
      at: path,
      found: `${bytes.length} bytes`,
      expected,
      hint: 'This reads llama2.c checkpoints of version 0 with a tied classifier.',
    });
  if (bytes.length < HEADER) throw refuse(`a header of ${HEADER} bytes`);
  const int32 = (index: number) => view.getInt32(index * 4, true);
  const [dim, hidden, layers, heads] = [int32(0), int32(1), int32(2), int32(3)];
  const [kvHeads, vocab, positions] = [int32(4), int32(5), int32(6)];
  const headDim = dim / heads;
  const config: DecoderConfig = {
    modelType: 'llama',
    vocabSize: vocab,
    hiddenSize: dim,
    intermediateSize: hidden,
    numLayers: layers,
    numHeads: heads,
    numKeyValueHeads: kvHeads,
    headDim,
    rmsNormEps: 1e-5,
    ropeTheta: 10000,
    maxPositions: positions,
    tieWordEmbeddings: true,
  };

  const perLayer = 2 * dim * dim + 2 * kvHeads * headDim * dim + 3 * hidden * dim + 2 * dim;
  const count = vocab * dim + layers * perLayer + dim + positions * headDim;
  // A separate classifier is announced by a negative vocabulary size, which fails here too.
  if (bytes.length !== HEADER + count * 4) throw refuse(`${HEADER + count * 4} bytes, by its header`);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = view.getFloat32(HEADER + i * 4, true);
  let at = 0;
  const take = (count: number) => {
    at += count;
    return values.subarray(at - count, at);
  };
  const parameters = new Map<string, Float32Array>();
  /** A block holds one parameter for every layer. */
  const block = (name: string, count: number, change = (weights: Float32Array) => weights) => {
    for (let i = 0; i < layers; i++) parameters.set(`model.layers.${i}.${name}.weight`, change(take(count)));
  };
  const kvDim = kvHeads * headDim;
  parameters.set('model.embed_tokens.weight', take(vocab * dim));
  block('input_layernorm', dim);
  block('self_attn.q_proj', dim * dim, (w) => halfSplit(w, heads, headDim));
  block('self_attn.k_proj', kvDim * dim, (w) => halfSplit(w, kvHeads, headDim));
  block('self_attn.v_proj', kvDim * dim);
  block('self_attn.o_proj', dim * dim);
  block('post_attention_layernorm', dim);
  block('mlp.gate_proj', hidden * dim);
  block('mlp.down_proj', dim * hidden);
  block('mlp.up_proj', hidden * dim);
  parameters.set('model.norm.weight', take(dim));
  // freq_cis_real and freq_cis_imag follow: cos and sin of position · frequency.
  return { config, parameters };
}
