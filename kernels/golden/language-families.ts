/** Schemas of the first layout: ACT, ZeroTuning and PINE. Shapes as in kernels/. */
import { z } from 'zod';
import { integers, shaped } from './values.ts';

const qkv = { q: shaped, k: shaped, v: shaped };

export const actCase = z.object({
  kind: z.literal('act'),
  params: z.object({
    heads: integers,
    beta: z.number(),
    exclude: z.enum(['initial', 'first_detected']),
    stats: z.enum(['chunk', 'running', 'frozen', 'row']),
    threshold: z.union([
      z.object({ mode: z.literal('absolute'), tau: z.number() }),
      z.object({ mode: z.literal('relative'), alpha: z.number() }),
    ]),
  }),
  inputs: z.object({
    ...qkv,
    pad_left: shaped,
    state_col_sum: shaped.optional(),
    state_col_count: shaped.optional(),
    frozen_sinks: shaped.optional(),
  }),
  expected: z.object({
    base_probs: shaped,
    base_output: shaped,
    sinks: shaped,
    probs: shaped,
    output: shaped,
    gain_rest: shaped,
    score: shaped.optional(),
    state_col_sum: shaped.optional(),
    state_col_count: shaped.optional(),
  }),
});

export const zeroTuningCase = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('zerotuning'),
    params: z.object({
      gammas: z.array(z.number()),
      tokens: z.union([
        z.object({ mode: z.literal('initial') }),
        z.object({ mode: z.literal('range'), start: z.int(), end: z.int() }),
      ]),
    }),
    inputs: z.object({ ...qkv, pad_left: shaped }),
    expected: z.object({
      base_probs: shaped,
      base_output: shaped,
      log_bias: shaped,
      set_mass: shaped,
      probs: shaped,
      output: shaped,
    }),
  }),
  z.object({
    kind: z.literal('zerotuning_key_scale'),
    params: z.object({ factors: z.array(z.number()) }),
    inputs: z.object(qkv),
    expected: z.object({ effective_gamma: shaped, probs: shaped, output: shaped }),
  }),
  z.object({
    kind: z.literal('zerotuning_entropy'),
    params: z.object({ grid: z.array(z.number()) }),
    inputs: z.object({ logits: shaped }),
    expected: z.object({
      entropy: shaped,
      mean_entropy: shaped,
      best_index: z.int(),
      best_gamma: z.number(),
    }),
  }),
  z.object({
    kind: z.literal('zerotuning_selection'),
    params: z.object({ probe_gamma: z.number(), fraction: z.number(), baseline: z.number() }),
    inputs: z.object({ probe_accuracy: shaped }),
    expected: z.object({
      types: z.array(z.enum(['up', 'down', 'neutral'])),
      dominant: z.enum(['up', 'down']),
      selected_heads: integers,
    }),
  }),
]);

export const pineCase = z.object({
  kind: z.literal('pine'),
  params: z.object({
    prefix_len: z.int(),
    doc_lens: integers,
    rope_theta: z.number(),
    rope_convention: z.literal('half'),
    permutation_of: z.string().optional(),
    token_index: integers.optional(),
  }),
  inputs: z.object({ q_unrotated: shaped, k_unrotated: shaped, v: shaped }),
  expected: z.object({
    output: shaped,
    order_suffix: shaped,
    order_docs: shaped.optional(),
    importance_suffix: shaped.optional(),
    importance_docs: shaped.optional(),
    query_positions: shaped.optional(),
    key_positions: shaped.optional(),
    probs: shaped.optional(),
    base_output: shaped.optional(),
  }),
});
