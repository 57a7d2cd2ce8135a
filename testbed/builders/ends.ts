/** The two ends of a decoder that do not depend on its form: token embedding and logits. */
import type { Build } from './build.ts';
import type { GraphEmitter } from './emitter.ts';
import { int4Blocks } from './int4.ts';
import { emitLinear } from './linear.ts';

const EMBEDDING = 'model.embed_tokens.weight';

/** input_ids [B, S] → embeddings [B, S, hiddenSize] */
export function emitEmbedding({ g, config, parameters, options }: Build): string {
  const { vocabSize, hiddenSize } = config;
  const { embedding, weights } = options;
  const node = '/model/embed_tokens/Gather';
  if (embedding === 'float32' || weights.kind !== 'int4') {
    const dims = [vocabSize, hiddenSize];
    const table = g.weight(EMBEDDING, dims, () => parameters.float(EMBEDDING, dims));
    return g.node(node, 'Gather', [table, 'input_ids']);
  }
  const { blockSize } = weights;
  const matrix = () => parameters.int4(EMBEDDING, vocabSize, hiddenSize, blockSize);
  const blocks = int4Blocks(hiddenSize, blockSize);
  const quants = g.bytesWeight(`${EMBEDDING}_Q4`, [vocabSize, hiddenSize / 2], () => matrix().quants);
  const scales = g.weight(`${EMBEDDING}_scales`, [vocabSize, blocks], () => matrix().scales);
  const layout = { bits: 4, block_size: blockSize, gather_axis: 0, quantize_axis: 1 };
  return g.node(`${node}_Q4`, 'com.microsoft.GatherBlockQuantized', [quants, 'input_ids', scales], layout);
}

/** Normed residual stream x [B, S, hiddenSize] → logits [B, S or num_logits_to_keep, vocabSize] */
export function emitLogits(build: Build, x: string): void {
  const { g, config, options } = build;
  const name = config.tieWordEmbeddings ? 'model.embed_tokens' : 'lm_head';
  emitLinear(build, options.numLogitsToKeep ? emitLastRows(g, x) : x, {
    scope: '/lm_head',
    parts: [{ name, width: config.vocabSize }],
    inputWidth: config.hiddenSize,
    output: 'logits',
  });
}

/** x[:, -num_logits_to_keep:]; 0 keeps all, since -0 is the start. */
function emitLastRows(g: GraphEmitter, x: string): string {
  const scope = '/model/num_logits_to_keep';
  const count = g.node(`${scope}/Unsqueeze`, 'Unsqueeze', ['num_logits_to_keep', g.int64(scope, [0])]);
  const start = g.node(`${scope}/Neg`, 'Neg', [count]);
  const end = g.int64(scope, [Number.MAX_SAFE_INTEGER]);
  return g.node(`${scope}/Slice`, 'Slice', [x, start, end, g.int64(scope, [1])]);
}
