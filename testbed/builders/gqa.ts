/**
 * The fused form: GroupQueryAttention on a residual spine of SkipSimplifiedLayerNormalization, with the names of
 * onnxruntime-genai's model builder.
 * Op reference: ONNX Runtime contrib operators, GroupQueryAttention, RotaryEmbedding,
 * SkipSimplifiedLayerNormalization (output 3 is the sum of its inputs, the residual stream).
 */
import { DataType } from '../../onnx/index.ts';
import type { Build } from './build.ts';
import { attentionScale, type DecoderConfig, inverseFrequencies } from './decoder-config.ts';
import type { GraphEmitter } from './emitter.ts';
import { emitEmbedding, emitLogits } from './ends.ts';
import { emitLinear } from './linear.ts';
import { emitMlp } from './mlp.ts';

/** Values every layer reads. */
interface Shared {
  /** [B, 1] int32: real tokens so far, minus 1. */
  readonly seqlens: string;
  /** int32 scalar T. */
  readonly total: string;
  /** [maxPositions, D/2] */
  readonly cos: string;
  readonly sin: string;
}

export function emitGqa(build: Build): void {
  const { g, config } = build;
  const shared = { ...emitLengths(g), ...emitRotaryCaches(g, config) };
  let residual = emitEmbedding(build);
  let normed = emitFirstNorm(build, residual);
  for (let i = 0; i < config.numLayers; i++) {
    const layer = `/model/layers.${i}`;
    const attention = emitAttention(build, normed, i, shared);
    const mid = emitSkipNorm(build, `${layer}/post_attention_layernorm`, [residual, attention]);
    const mlp = emitMlp(build, mid.normed, i);
    const last = i === config.numLayers - 1;
    const next = `/model/layers.${i + 1}/${last ? 'final_norm_layernorm' : 'input_layernorm'}`;
    ({ normed, sum: residual } = emitSkipNorm(build, next, [mid.sum, mlp], last ? 'model.norm' : undefined));
  }
  emitLogits(build, normed);
}

function emitFirstNorm({ g, config, parameters }: Build, x: string): string {
  const weight = 'model.layers.0.input_layernorm.weight';
  g.weight(weight, [config.hiddenSize], () => parameters.float(weight, [config.hiddenSize]));
  return g.node('/model/layers.0/input_layernorm/LayerNorm', 'SimplifiedLayerNormalization', [x, weight], {
    axis: -1,
    stash_type: 1,
    epsilon: { float: config.rmsNormEps },
  });
}

/**
 * RMSNorm of a sum of two. The final norm's sum has no reader, so the exporter does not declare it.
 * @param finalNorm Hugging Face name where it is not that of the scope
 */
function emitSkipNorm(
  { g, config, parameters }: Build,
  scope: string,
  terms: [string, string],
  finalNorm?: string,
): { normed: string; sum: string } {
  const name = `${scope}/SkipLayerNorm`;
  const dims = [config.hiddenSize];
  const weight = `${scope.slice(1).replaceAll('/', '.')}.weight`;
  g.weight(weight, dims, () => parameters.float(finalNorm ? `${finalNorm}.weight` : weight, dims));
  const sum = g.output(name, 3);
  const normed = g.output(name, 0);
  const op = 'com.microsoft.SkipSimplifiedLayerNormalization';
  const epsilon = { epsilon: { float: config.rmsNormEps } };
  g.node(name, op, [...terms, weight], epsilon, finalNorm ? [normed] : [normed, '', '', sum]);
  return { normed, sum };
}

/** Sequence lengths out of the 2-D attention mask: they are right only where padding is on the right. */
function emitLengths(g: GraphEmitter): Pick<Shared, 'seqlens' | 'total'> {
  const scope = '/model/attn_mask_reformat/attn_mask_subgraph';
  const one = g.int64(scope, [1]);
  const sum = g.node(`${scope}/ReduceSum`, 'ReduceSum', ['attention_mask', one], { keepdims: 1 });
  const minusOne = g.node(`${scope}/Sub`, 'Sub', [sum, one]);
  const seqlens = g.node(`${scope}/Sub/Cast`, 'Cast', [minusOne], { to: DataType.INT32 });
  const shape = g.node(`${scope}/Shape`, 'Shape', ['attention_mask']);
  const length = g.node(`${scope}/Gather`, 'Gather', [shape, g.int64(scope, 1)], { axis: 0 });
  const total = g.node(`${scope}/Gather/Cast`, 'Cast', [length], { to: DataType.INT32 });
  return { seqlens, total };
}

function emitRotaryCaches(g: GraphEmitter, config: DecoderConfig): Pick<Shared, 'cos' | 'sin'> {
  const frequencies = inverseFrequencies(config);
  const pairs = frequencies.length;
  const dims = [config.maxPositions, pairs];
  const table = (f: (angle: number) => number) => () =>
    Float32Array.from({ length: config.maxPositions * pairs }, (_, i) =>
      f(Math.floor(i / pairs) * frequencies[i % pairs]!),
    );
  return {
    cos: g.weight('cos_cache', dims, table(Math.cos)),
    sin: g.weight('sin_cache', dims, table(Math.sin)),
  };
}

/** x [B, S, hiddenSize] → [B, S, hiddenSize] */
function emitAttention(build: Build, x: string, layer: number, shared: Shared): string {
  const { g, config, options } = build;
  const { numHeads: H, numKeyValueHeads: K, headDim: D, hiddenSize } = config;
  const scope = `/model/layers.${layer}/attn`;
  const from = `model.layers.${layer}.self_attn`;
  const inside = options.rotary === 'fused';
  const rotaryInputs = inside
    ? [shared.cos, shared.sin, ...(options.positionIds ? ['position_ids'] : [])]
    : [];
  const inputs = [
    ...emitQkv(build, x, layer, shared),
    `past_key_values.${layer}.key`,
    `past_key_values.${layer}.value`,
    shared.seqlens,
    shared.total,
    ...rotaryInputs,
  ];
  const name = `${scope}/GroupQueryAttention`;
  const attributes = {
    num_heads: H,
    kv_num_heads: K,
    scale: { float: attentionScale(config) },
    local_window_size: -1,
    softcap: { float: 0 },
    do_rotary: inside ? 1 : 0,
    rotary_interleaved: 0,
  };
  const outputs = [g.output(name, 0), `present.${layer}.key`, `present.${layer}.value`];
  const z = g.node(name, 'com.microsoft.GroupQueryAttention', inputs, attributes, outputs); // [B, S, H·D]
  return emitLinear(build, z, {
    scope: `${scope}/o_proj`,
    parts: [{ name: `${from}.o_proj`, width: hiddenSize }],
    inputWidth: H * D,
  });
}

/** The first three inputs of GroupQueryAttention: q, k, v, or all in one and two left out. */
function emitQkv(build: Build, x: string, layer: number, { cos, sin }: Shared): string[] {
  const { g, config, options } = build;
  const { numHeads: H, numKeyValueHeads: K, headDim: D } = config;
  const scope = `/model/layers.${layer}/attn`;
  const widths = { q_proj: H * D, k_proj: K * D, v_proj: K * D };
  const project = (name: string, parts: (keyof typeof widths)[]) =>
    emitLinear(build, x, {
      scope: `${scope}/${name}`,
      parts: parts.map((part) => ({ name: `model.layers.${layer}.self_attn.${part}`, width: widths[part] })),
      inputWidth: config.hiddenSize,
      bias: config.modelType === 'qwen2',
    });
  if (options.packedQkv) return [project('qkv_proj', ['q_proj', 'k_proj', 'v_proj']), '', ''];
  const q = project('q_proj', ['q_proj']);
  const k = project('k_proj', ['k_proj']);
  const v = project('v_proj', ['v_proj']);
  if (options.rotary === 'fused') return [q, k, v];
  const rotate = (value: string, name: string) => {
    const inputs = [value, 'position_ids', cos, sin];
    const attributes = { interleaved: 0, num_heads: 0, rotary_embedding_dim: 0 };
    return g.node(`${scope}/${name}/RotaryEmbedding`, 'com.microsoft.RotaryEmbedding', inputs, attributes);
  };
  return [rotate(q, 'q_rotary'), rotate(k, 'k_rotary'), v];
}
