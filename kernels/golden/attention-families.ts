/** Schemas of the second-layout families that are attention: VAR, VHR, imbalanced attention. Shapes as in kernels/. */
import { z } from 'zod';
import { integers, shaped, span } from './values.ts';

const qkv = { q: shaped, k: shaped, v: shaped };

/** A case is recognised by what it gives as inputs; `kind` names it for the programs that check it. */
export const varCase = z.union([
  z.object({
    kind: z.literal('attention').default('attention'),
    params: z.object({
      scale: z.number(),
      sink_dims: integers,
      tau: z.number(),
      rho: z.number(),
      p: z.number(),
      min_visual: z.number(),
      rms_eps: z.number(),
      semantics: z.enum(['paper', 'code']),
      visual_span: z.array(span),
    }),
    inputs: z.object({ ...qkv, hidden: shaped, key_mask: shaped.optional() }),
    expected: z.object({
      phi: shaped,
      sink: shaped,
      selected: shaped,
      eligible: shaped,
      gain_A: shaped,
      damp_B: shaped,
      mass_A: shaped,
      mass_B: shaped,
      visual_mass: shaped,
      probs_base: shaped,
      probs: shaped,
      out_base: shaped,
      out: shaped,
      partial_A: shaped.optional(),
      partial_B: shaped.optional(),
      partial_C: shaped.optional(),
    }),
  }),
  z.object({
    kind: z.literal('detector').default('detector'),
    params: z.object({ sink_dims: integers, rms_eps: z.number(), tau: z.number().optional() }),
    inputs: z.strictObject({ hidden: shaped }),
    expected: z.object({ phi: shaped, sink: shaped.optional(), sqrt_D: z.number().optional() }),
  }),
]);

const scoring = { alpha: z.number(), std_ddof: z.int(), prune_outliers: z.boolean() };

export const vhrCase = z.union([
  z.object({
    kind: z.literal('scores').default('scores'),
    params: z.object({ ...scoring, t_vhd_k: z.int() }),
    inputs: z.object({ with_image: shaped, without_image: shaped, w_o: shaped }),
    expected: z.object({
      vhd: shaped,
      ta: shaped,
      outlier: shaped,
      vhd_pruned: shaped,
      median: shaped,
      selected: shaped,
      heads: shaped,
      proj_base: shaped,
      proj: shaped,
      t_vhd: shaped,
    }),
  }),
  z.object({
    kind: z.literal('prefill').default('prefill'),
    params: z.object({ ...scoring, scale: z.number(), visual_span: z.array(span) }),
    inputs: z.object(qkv),
    expected: z.object({
      out_base: shaped,
      ref_last: shaped,
      vhd: shaped,
      ta: shaped,
      outlier: shaped,
      median: shaped,
      selected: shaped,
      out: shaped,
    }),
  }),
  z.object({
    kind: z.literal('decode').default('decode'),
    params: z.object({ alpha: z.number(), scale: z.number() }),
    inputs: z.object({
      q: shaped,
      past_k: shaped,
      past_v: shaped,
      k_new: shaped,
      v_new: shaped,
      selected: shaped,
    }),
    expected: z.object({ out_base: shaped, out: shaped }),
  }),
  z.object({
    kind: z.literal('layers').default('layers'),
    params: z.object({
      ...scoring,
      layers: integers,
      rms_eps: z.number(),
      visual_span: z.array(span),
      reinforce_reference: z.boolean(),
    }),
    shapes: z.object({ L: z.int(), H: z.int(), Hkv: z.int(), d: z.int() }),
    inputs: z.object({ x: shaped, w_q: shaped, w_k: shaped, w_v: shaped, w_o: shaped, decode_x: shaped }),
    expected: z.object({
      vhd: shaped,
      ta: shaped,
      outlier: shaped,
      selected: shaped,
      hidden_base: shaped,
      hidden: shaped,
      decode_hidden: shaped,
    }),
  }),
]);

export const imbalancedCase = z.union([
  z.object({
    kind: z.literal('tokens').default('tokens'),
    params: z.object({ local_ratio: z.number() }),
    inputs: z.object({ cls_attn_first: shaped, cls_attn_penultimate: shaped }),
    expected: z.object({
      score_first: shaped,
      score_penultimate: shaped,
      q1: z.number(),
      q3: z.number(),
      local: integers,
      summary: integers,
    }),
  }),
  z.object({
    kind: z.literal('attention').default('attention'),
    params: z.object({
      scale: z.number(),
      alpha: z.number(),
      beta: z.number(),
      visual_span: z.array(span),
      local: integers,
      summary: integers,
      head_gain: z.array(z.number()).optional(),
    }),
    inputs: z.object({ ...qkv, key_mask: shaped.optional() }),
    expected: z.object({
      scores_last: shaped,
      bias_last: shaped,
      probs_last_base: shaped,
      probs_last: shaped,
      out_base: shaped,
      out: shaped,
      visual_mass_base: shaped,
      visual_mass: shaped,
    }),
  }),
]);
