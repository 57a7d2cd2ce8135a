/**
 * Llama- and Qwen2-shaped decoders with a KV cache, as their exporters would write them and as transformers.js
 * loads them: input_ids, attention_mask, position_ids (optional), past_key_values.{i}.key|value →
 * logits, present.{i}.key|value.
 */
import { AttuneError } from '../../errors.ts';
import {
  type ByteSource,
  DataType,
  type Model,
  makeGraph,
  makeModel,
  makeValueInfo,
  type ValueInfo,
} from '../../onnx/index.ts';
import type { DecoderOptions, ResolvedOptions } from './build.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { emitDecomposed } from './decomposed.ts';
import { GraphEmitter, genaiNaming, torchNaming } from './emitter.ts';
import { emitGqa } from './gqa.ts';
import type { Parameters } from './parameters.ts';

export interface BuiltDecoder {
  readonly model: Model;
  /** Makes the weights when they are read; see write-onnx.ts, or `assemble(encodeModel(model), source)`. */
  readonly source: ByteSource;
}

/** @throws AttuneError DECODER_OPTIONS when options exclude each other */
export function buildDecoder(
  config: DecoderConfig,
  parameters: Parameters,
  options: DecoderOptions,
): BuiltDecoder {
  const resolved = resolve(config, options);
  const g = new GraphEmitter(options.form === 'gqa' ? genaiNaming : torchNaming);
  const build = { g, config, parameters, options: resolved };
  if (options.form === 'gqa') emitGqa(build);
  else emitDecomposed(build);
  const graph = makeGraph('main_graph', {
    nodes: g.nodes,
    initializers: g.initializers,
    ...interfaceOf(config, resolved),
  });
  return { model: makeModel(graph, { '': 17, 'com.microsoft': 1 }, { irVersion: 8 }), source: g.payloads };
}

function resolve(config: DecoderConfig, options: DecoderOptions): ResolvedOptions {
  const { weights = { kind: 'float32' }, embedding = 'float32', numLogitsToKeep = false } = options;
  if (embedding === 'int4' && weights.kind !== 'int4') {
    throw new AttuneError('DECODER_OPTIONS', {
      found: "embedding: 'int4' with float32 weights",
      expected: "weights: { kind: 'int4', … }",
      hint: 'The block size of the embedding is that of the weights.',
    });
  }
  const shared = { weights, embedding, numLogitsToKeep };
  if (options.form === 'decomposed') {
    const { positionIds = true, norm = 'decomposed' } = options;
    return { ...shared, positionIds, norm, rotary: 'separate', packedQkv: false };
  }
  const { rotary = config.headDim % 16 === 0 ? 'fused' : 'separate', packedQkv = false } = options;
  const { positionIds = rotary === 'separate' } = options;
  if (rotary === 'separate' && (packedQkv || !positionIds)) {
    throw new AttuneError('DECODER_OPTIONS', {
      found: `rotary: 'separate' with ${packedQkv ? 'packedQkv' : 'no position_ids'}`,
      expected: packedQkv ? "rotary: 'fused'" : 'positionIds: true',
      hint: 'RotaryEmbedding nodes read q and k apart, and their positions from the input.',
    });
  }
  return { ...shared, positionIds, norm: 'fused', rotary, packedQkv };
}

function interfaceOf(
  config: DecoderConfig,
  options: ResolvedOptions,
): { inputs: ValueInfo[]; outputs: ValueInfo[] } {
  const { numLayers, numKeyValueHeads: K, headDim: D, vocabSize } = config;
  const tokens = ['batch_size', 'sequence_length'];
  const mask = ['batch_size', 'total_sequence_length'];
  const inputs = [
    makeValueInfo('input_ids', DataType.INT64, tokens),
    makeValueInfo('attention_mask', DataType.INT64, mask),
  ];
  if (options.positionIds) inputs.push(makeValueInfo('position_ids', DataType.INT64, tokens));
  if (options.numLogitsToKeep) inputs.push(makeValueInfo('num_logits_to_keep', DataType.INT64, []));
  const logits = [...tokens.slice(0, 1), options.numLogitsToKeep ? 'num_logits' : tokens[1]!, vocabSize];
  const outputs = [makeValueInfo('logits', DataType.FLOAT, logits)];
  for (let i = 0; i < numLayers; i++) {
    for (const kind of ['key', 'value']) {
      const shape = (length: string) => ['batch_size', K, length, D];
      inputs.push(
        makeValueInfo(`past_key_values.${i}.${kind}`, DataType.FLOAT, shape('past_sequence_length')),
      );
      outputs.push(makeValueInfo(`present.${i}.${kind}`, DataType.FLOAT, shape('total_sequence_length')));
    }
  }
  return { inputs, outputs };
}
