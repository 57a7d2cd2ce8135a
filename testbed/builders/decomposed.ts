/**
 * The decomposed form: attention as MatMul, Mul (scale), Add (mask), Softmax, MatMul, half-split RoPE and RMSNorm
 * as arithmetic, with the names that torch.onnx.export gives to transformers' eager Llama and Qwen2.
 */
import { DataType } from '../../onnx/index.ts';
import type { Build } from './build.ts';
import { attentionScale, inverseFrequencies } from './decoder-config.ts';
import { emitEmbedding, emitLogits } from './ends.ts';
import { emitLinear } from './linear.ts';
import { emitMlp } from './mlp.ts';

/** Values every layer reads. */
interface Shared {
  /** [B, 1, S, T]: 0 where a key is seen, the lowest float where not. */
  readonly mask: string;
  /** [B, 1, S, D] */
  readonly cos: string;
  readonly sin: string;
}

/** torch.finfo(float32).min, which transformers uses for masked scores. */
const LOWEST = -3.4028234663852886e38;

export function emitDecomposed(build: Build): void {
  const { g, config } = build;
  let residual = emitEmbedding(build);
  const positions = emitPositions(build);
  const shared = { mask: emitMask(build, positions), ...emitRotary(build, positions) };
  for (let i = 0; i < config.numLayers; i++) {
    const layer = `/model/layers.${i}`;
    const attention = emitAttention(build, emitNorm(build, `${layer}/input_layernorm`, residual), i, shared);
    residual = g.node(`${layer}/Add`, 'Add', [residual, attention]);
    const mlp = emitMlp(build, emitNorm(build, `${layer}/post_attention_layernorm`, residual), i);
    residual = g.node(`${layer}/Add`, 'Add', [residual, mlp]);
  }
  emitLogits(build, emitNorm(build, '/model/norm', residual));
}

/** x / √(mean x² + ε) · weight */
function emitNorm({ g, config, parameters, options }: Build, scope: string, x: string): string {
  const { hiddenSize, rmsNormEps } = config;
  const weight = `${scope.slice(1).replaceAll('/', '.')}.weight`;
  g.weight(weight, [hiddenSize], () => parameters.float(weight, [hiddenSize]));
  if (options.norm === 'fused') {
    const attributes = { axis: -1, stash_type: 1, epsilon: { float: rmsNormEps } };
    return g.node(
      `${scope}/SimplifiedLayerNormalization`,
      'SimplifiedLayerNormalization',
      [x, weight],
      attributes,
    );
  }
  const square = g.node(`${scope}/Pow`, 'Pow', [x, g.float(scope, 2)]);
  const mean = g.node(`${scope}/ReduceMean`, 'ReduceMean', [square], { axes: [-1], keepdims: 1 });
  const shifted = g.node(`${scope}/Add`, 'Add', [mean, g.float(scope, rmsNormEps)]);
  const root = g.node(`${scope}/Sqrt`, 'Sqrt', [shifted]);
  const inverse = g.node(`${scope}/Div`, 'Div', [g.float(scope, 1), root]);
  const normed = g.node(`${scope}/Mul`, 'Mul', [x, inverse]);
  return g.node(`${scope}/Mul`, 'Mul', [weight, normed]);
}

interface Positions {
  /** [S] rows of the cache the new tokens go to: past … T - 1. */
  readonly rows: string;
  /** int64 scalar T. */
  readonly total: string;
  /** [B or 1, S] rotary positions. */
  readonly ids: string;
}

function emitPositions({ g, options }: Build): Positions {
  const scope = '/model';
  const dim = (value: string, axis: number) =>
    g.node(`${scope}/Gather`, 'Gather', [g.node(`${scope}/Shape`, 'Shape', [value]), g.int64(scope, axis)], {
      axis: 0,
    });
  const past = dim('past_key_values.0.key', 2);
  const total = g.node(`${scope}/Add`, 'Add', [past, dim('input_ids', 1)]);
  const rows = g.node(`${scope}/Range`, 'Range', [past, total, g.int64(scope, 1)]);
  if (options.positionIds) return { rows, total, ids: 'position_ids' };
  return { rows, total, ids: g.node(`${scope}/Unsqueeze`, 'Unsqueeze', [rows, g.int64(scope, [0])]) };
}

/** Causal, and blind to keys whose attention_mask is 0. */
function emitMask({ g }: Build, { rows, total }: Positions): string {
  const scope = '/model';
  const unsqueeze = (value: string, axes: number[]) =>
    g.node(`${scope}/Unsqueeze`, 'Unsqueeze', [value, g.int64(scope, axes)]);
  const keys = g.node(`${scope}/Range`, 'Range', [g.int64(scope, 0), total, g.int64(scope, 1)]); // [T]
  const future = g.node(`${scope}/Greater`, 'Greater', [keys, unsqueeze(rows, [1])]); // [S, T]
  const padding = g.node(`${scope}/Equal`, 'Equal', [unsqueeze('attention_mask', [1, 2]), g.int64(scope, 0)]);
  const hidden = g.node(`${scope}/Or`, 'Or', [future, padding]); // [B, 1, S, T]
  return g.node(`${scope}/Where`, 'Where', [hidden, g.float(scope, LOWEST), g.float(scope, 0)]);
}

/** Angles position · θ_i, repeated for both halves of a head. */
function emitRotary({ g, config }: Build, { ids }: Positions): Pick<Shared, 'cos' | 'sin'> {
  const scope = '/model/rotary_emb';
  const frequencies = inverseFrequencies(config);
  const table = g.weight('model.rotary_emb.inv_freq', [1, frequencies.length, 1], () =>
    Float32Array.from(frequencies),
  );
  const row = g.node(`${scope}/Unsqueeze`, 'Unsqueeze', [ids, g.int64(scope, [1])]);
  const positions = g.node(`${scope}/Cast`, 'Cast', [row], { to: DataType.FLOAT });
  const product = g.node(`${scope}/MatMul`, 'MatMul', [table, positions]); // [B, D/2, S]
  const angles = g.node(`${scope}/Transpose`, 'Transpose', [product], { perm: [0, 2, 1] });
  const both = g.node(`${scope}/Concat`, 'Concat', [angles, angles], { axis: -1 }); // [B, S, D]
  const heads = (value: string) => g.node(`${scope}/Unsqueeze`, 'Unsqueeze', [value, g.int64(scope, [1])]);
  return {
    cos: heads(g.node(`${scope}/Cos`, 'Cos', [both])),
    sin: heads(g.node(`${scope}/Sin`, 'Sin', [both])),
  };
}

/** x [B, S, hiddenSize] → [B, S, hiddenSize] */
function emitAttention(build: Build, x: string, layer: number, { mask, cos, sin }: Shared): string {
  const { g, config } = build;
  const { numHeads: H, numKeyValueHeads: K, headDim: D, hiddenSize, modelType } = config;
  const scope = `/model/layers.${layer}/self_attn`;
  const from = `model.layers.${layer}.self_attn`;
  const transpose = (value: string, perm: number[]) =>
    g.node(`${scope}/Transpose`, 'Transpose', [value], { perm });
  const reshape = (value: string, shape: number[]) =>
    g.node(`${scope}/Reshape`, 'Reshape', [value, g.int64(scope, shape)]);

  /** [B, heads, S, D] */
  const project = (name: string, heads: number) => {
    const parts = [{ name: `${from}.${name}`, width: heads * D }];
    const bias = modelType === 'qwen2';
    const flat = emitLinear(build, x, { scope: `${scope}/${name}`, parts, inputWidth: hiddenSize, bias });
    return transpose(reshape(flat, [0, 0, heads, D]), [0, 2, 1, 3]);
  };
  const join = (kind: 'key' | 'value', fresh: string) => {
    const inputs = [`past_key_values.${layer}.${kind}`, fresh];
    return g.node(`${scope}/Concat`, 'Concat', inputs, { axis: -2 }, [`present.${layer}.${kind}`]);
  };
  /** [B, K, T, D] → [B, H, T, D], every kv head repeated H/K times. */
  const repeat = (value: string) => {
    if (H === K) return value;
    const group = g.node(`${scope}/Unsqueeze`, 'Unsqueeze', [value, g.int64(scope, [2])]);
    const copies = g.node(`${scope}/Expand`, 'Expand', [group, g.int64(scope, [1, 1, H / K, 1, 1])]);
    return reshape(copies, [0, H, -1, D]);
  };

  const q = emitRotation(build, scope, project('q_proj', H), cos, sin);
  const freshK = emitRotation(build, scope, project('k_proj', K), cos, sin);
  const k = repeat(join('key', freshK));
  const v = repeat(join('value', project('v_proj', K)));
  const products = g.node(`${scope}/MatMul`, 'MatMul', [q, transpose(k, [0, 1, 3, 2])]); // [B, H, S, T]
  const scaled = g.node(`${scope}/Mul`, 'Mul', [products, g.float(scope, attentionScale(config))]);
  const scores = g.node(`${scope}/Add`, 'Add', [scaled, mask]);
  const pattern = g.node(`${scope}/Softmax`, 'Softmax', [scores], { axis: -1 });
  const perHead = g.node(`${scope}/MatMul`, 'MatMul', [pattern, v]); // [B, H, S, D]
  const z = reshape(transpose(perHead, [0, 2, 1, 3]), [0, 0, H * D]);
  return emitLinear(build, z, {
    scope: `${scope}/o_proj`,
    parts: [{ name: `${from}.o_proj`, width: hiddenSize }],
    inputWidth: H * D,
  });
}

/** x · cos + rotate_half(x) · sin, where rotate_half([a, b]) = [-b, a]. */
function emitRotation({ g, config }: Build, scope: string, x: string, cos: string, sin: string): string {
  const half = config.headDim / 2;
  const slice = (from: number, to: number) =>
    g.node(`${scope}/Slice`, 'Slice', [x, g.int64(scope, [from]), g.int64(scope, [to]), g.int64(scope, [3])]);
  const straight = g.node(`${scope}/Mul`, 'Mul', [x, cos]);
  const first = slice(0, half);
  const negated = g.node(`${scope}/Neg`, 'Neg', [slice(half, Number.MAX_SAFE_INTEGER)]);
  const turned = g.node(`${scope}/Concat`, 'Concat', [negated, first], { axis: -1 });
  const crossed = g.node(`${scope}/Mul`, 'Mul', [turned, sin]);
  return g.node(`${scope}/Add`, 'Add', [straight, crossed]);
}
