/**
 * What recognising attention yields. A site is one attention in one graph scope, described by the *values* that
 * carry its tensors, so that taps and edits need not know which graph form it was.
 *
 * Letters: B batch, S query positions, T key positions (past included), P past, H query heads, K key/value heads,
 * D head size, E = D of v where it differs. Merged axes in parentheses: 'BS(HD)', '(BH)ST'.
 */
import type { Model, Node } from '../onnx/index.ts';

/**
 * P1a/P1b GroupQueryAttention with packed/separate q,k,v; P3 MultiHeadAttention; P4 com.microsoft.Attention;
 * P5 ai.onnx Attention; P6 decomposed, named by where the scale sits: on the scores (eager), roots on q and k
 * (sdpa), on q (qscaled), alpha of FusedMatMul (fusedmatmul).
 */
export type Form =
  | 'P1a'
  | 'P1b'
  | 'P3'
  | 'P4'
  | 'P5'
  | 'P6-eager'
  | 'P6-sdpa'
  | 'P6-qscaled'
  | 'P6-fusedmatmul';

/** Operators that are a whole attention, as qualifiedOp calls them. */
export type AttentionOperator =
  | 'com.microsoft.GroupQueryAttention'
  | 'com.microsoft.MultiHeadAttention'
  | 'com.microsoft.Attention'
  | 'Attention';

/**
 * What may be wanted of a site: reading its scores or its pattern, adding to its logits, multiplying its queries,
 * changing its probabilities (it is then computed in another way), reading rotated queries and keys.
 */
export type Capability =
  | 'scores'
  | 'pattern'
  | 'logits'
  | 'queries'
  | 'probabilities'
  | 'rotation'
  | 'projections';

/** Capabilities a site does not have, each with the reason: 'GroupQueryAttention with sliding_window_cache=1'. */
export type Lacks = { readonly [capability in Capability]?: string };

/** A value of the graph and the order of its axes. */
export interface Place {
  /** Its name in the graph. */
  readonly value: string;
  /** Its axes. */
  readonly layout: Layout;
}

/** Order of axes of a value; merged axes in parentheses. */
export type Layout =
  | 'BSHD'
  | 'BHSD'
  | 'BHDS'
  | 'BS(HD)'
  | '(BS)(HD)'
  | '(BH)SD'
  | '(BH)DS'
  | 'B(HD)S'
  | 'BHST'
  | '(BH)ST';

/**
 * The stages one of q, k, v passes through; only those that exist as values. For k and v read T for S and K for H
 * in the layout until `repeated`.
 */
export interface Stages {
  /** Joint projection of q, k and v, before it is split. */
  readonly packed?: string | undefined;
  /** After projection and bias, [.., H*D]. */
  readonly proj?: Place | undefined;
  /** After the head split, before rotary (and before the cache): hook_q / hook_k / hook_v. */
  readonly heads?: Place | undefined;
  /** After a per-head normalisation of q or k (QK-norm), where there is one. */
  readonly normed?: Place | undefined;
  /** What enters the rotation; undefined where there is none, or the attention operator rotates. */
  readonly unrotated?: Place | undefined;
  /** After rotary: hook_rot_q / hook_rot_k. */
  readonly rotated?: Place | undefined;
  /** After joining the cache. */
  readonly withPast?: Place | undefined;
  /** After repetition of kv heads to H. */
  readonly repeated?: Place | undefined;
  /** The last of withPast / rotated / normed / heads. */
  readonly final?: Place | undefined;
  /** What enters the matmul or the fused operator. */
  readonly operand?: Place | undefined;
}

/** Whether a row sees only what stands before it. */
export type Causal =
  | true
  | false
  /** Decided by a value given at run time. */
  | 'data'
  /** Cannot be known from the file. */
  | null;

/** A mask that an attention uses. */
export interface MaskUse {
  /** The node that applies the mask, or the fused operator itself. */
  readonly node: Node;
  /** Name of the mask. */
  readonly value: string;
  /** How it is used. */
  readonly kind: 'additive' | 'select' | 'multiply' | 'lengths' | 'operator';
}

/** How queries and keys get their positions by rotation. */
export interface Rotary {
  /** 'operator': inside the attention operator; 'node': a RotaryEmbedding node; 'decomposed': Sin/Cos arithmetic. */
  readonly by: 'operator' | 'node' | 'decomposed';
  /** Pairs are neighbours, and not halves of the head. */
  readonly interleaved: boolean;
  /** Rotated channels of D; D itself when the rotation is full. */
  readonly dim?: number | undefined;
  /** Values of the cos and sin tables, or of the gathered cos and sin, where they exist. */
  readonly cos?: string | undefined;
  /** As cos. */
  readonly sin?: string | undefined;
  /** Whether cos and sin are tables [positions, dim/2] that positions choose from, and not this call's rows of them. */
  readonly tables?: boolean | undefined;
}

/** Names of the cache of one attention, and their axes. */
export interface CachePair {
  /** Keys. */
  readonly k: string;
  /** Values. */
  readonly v: string;
  /** Order of their axes. */
  readonly layout: 'BHPD' | 'BPHD' | 'BHDP' | 'packed' | 'other';
}

/** One step into a sub-graph: position of the holding node in its scope and the attribute (branch) entered. */
export interface ScopeStep {
  /** The node that holds the sub-graph. */
  readonly node: Node;
  /** Its position in its graph. */
  readonly position: number;
  /** Name of the attribute: then_branch, body, … */
  readonly attribute: string;
}

/** One attention in one graph: what it computes and the values that carry its tensors. */
export interface Site {
  /** Order of execution over the whole file. */
  readonly index: number;
  /** How the site is written, for people and JSON. What can be done at it is told by the facts that follow. */
  readonly form: Form;
  /** The operator that is the whole attention; undefined where MatMul, Softmax and MatMul are nodes of the graph. */
  readonly operator: AttentionOperator | undefined;
  /** Scores, mask and softmax live inside one operator. */
  readonly fused: boolean;
  /** q, k and v reach the operator as one tensor, end to end: [B, S, (H + 2K)·D]. */
  readonly packedQkv: boolean;
  /** The operator has the weights that q, k and v are projected with. */
  readonly projectsInside: boolean;
  /** The operator rotates q and k itself. */
  readonly rotatesInside: boolean;
  /** Which input of the operator is added to its logits, [B|1, H|1, S, T]; undefined where none is. */
  readonly biasInput: number | undefined;
  /** Transformer layer within its tower; self- and cross-attention of a decoder layer share it. */
  readonly layer: number;
  /** Residual stream the site belongs to: 'decoder', 'encoder', 'vision', …; '' when the file has just one. */
  readonly tower: string;
  /** Whether keys are of its own sequence or of another. */
  readonly attention: 'self' | 'cross';
  /** Whether rows see only what stands before them. */
  readonly causal: Causal;
  /** One sentence: what decides causality. */
  readonly causalBy: string;
  /** Empty for the main graph. */
  readonly scope: readonly ScopeStep[];
  /** The fused operator, or the Softmax of a decomposed site. */
  readonly anchor: Node;
  /** Position of the anchor in its graph. */
  readonly anchorPosition: number;
  /** All nodes from head split to output projection that belong to the site, in execution order. */
  readonly nodes: readonly Node[];
  /** H, query heads. */
  readonly numHeads: number;
  /** K, key and value heads. */
  readonly kvHeads: number;
  /** D, size of q and k of a head. */
  readonly headDim: number;
  /** D of v; equals headDim almost always. */
  readonly valueDim: number;
  /** Factor on q·k; undefined when it is a run-time value. */
  readonly scale: number | undefined;
  /** c, where logits are capped: c tanh(logit / c). */
  readonly softcap: number | undefined;
  /** Keys visible to the left including the query's own; undefined without a sliding window. */
  readonly window: number | undefined;
  /** A learned extra logit per head takes part in the softmax. */
  readonly headSink: string | undefined;
  /** Dtype of the attention's activations (DataType). */
  readonly elemType: number | undefined;
  /** Rotary positions, where it has them. */
  readonly rotary: Rotary | undefined;
  /** Stages of the queries. */
  readonly q: Stages;
  /** Stages of the keys. */
  readonly k: Stages;
  /** Stages of the values. */
  readonly v: Stages;
  /** Output of the score matmul, before scale and mask where those follow. */
  readonly scoresRaw?: Place | undefined;
  /** Input of Softmax: scaled, capped and masked. hook_attn_scores. */
  readonly scores?: Place | undefined;
  /** Output of Softmax. hook_pattern. */
  readonly pattern?: Place | undefined;
  /** Left operand of the second matmul: what an edit of the pattern must replace. */
  readonly patternOperand?: Place | undefined;
  /** Output of the second matmul or fused operator. hook_z. */
  readonly z?: Place | undefined;
  /** Input of the output projection. */
  readonly zFlat?: Place | undefined;
  /** MatMul, Gemm, MatMulNBits, … of the output projection; undefined when the site has none. */
  readonly outProjection?: Node | undefined;
  /** After output projection and bias. */
  readonly out?: string | undefined;
  /** Masks it uses. */
  readonly masks: readonly MaskUse[];
  /** Cache that comes in. */
  readonly past?: CachePair | undefined;
  /** Cache that goes out. */
  readonly present?: CachePair | undefined;
  /** Bias of q, k and v, end to end, that the operator adds itself: their values lack it. */
  readonly biasInside?: string | undefined;
  /** What the operator's options take away (options.ts); known before anything is built. */
  readonly lacks?: Lacks | undefined;
  /** Points that do not exist as values in this form. */
  readonly absent: readonly ('q' | 'k' | 'v' | 'scores' | 'pattern' | 'z')[];
}

/** Values of the residual stream around one layer. */
export interface ResidualLayer {
  /** As that of its sites. */
  readonly tower: string;
  /** From 0. */
  readonly layer: number;
  /** Sub-graph the layer lives in; absent or empty for the main graph. */
  readonly scope?: readonly ScopeStep[] | undefined;
  /** Entering the layer; hook_resid_pre. */
  readonly pre?: string | undefined;
  /** After attention is added (sequential blocks only); hook_resid_mid. */
  readonly mid?: string | undefined;
  /** After cross-attention is added, in layers that have one; hook_resid_mid_cross. */
  readonly midCross?: string | undefined;
  /** Leaving the layer; hook_resid_post. */
  readonly post?: string | undefined;
  /** What attention adds to the stream, after post-norms; hook_attn_out. */
  readonly attnOut?: string | undefined;
  /** What cross-attention adds to the stream; hook_cross_attn_out. */
  readonly crossAttnOut?: string | undefined;
  /** What the MLP adds to the stream, after post-norms; hook_mlp_out. */
  readonly mlpOut?: string | undefined;
  /** Biases that Skip*LayerNormalization adds to what comes into it: part of attnOut, crossAttnOut, mlpOut. */
  readonly biases?: { readonly attnOut?: string; readonly crossAttnOut?: string; readonly mlpOut?: string };
  /**
   * Sums a Skip*LayerNormalization computes but does not name: enabling the operator's sum output gives the value.
   */
  readonly enable?: readonly {
    readonly which: 'pre' | 'mid' | 'midCross' | 'post';
    readonly node: Node;
    readonly output: number;
  }[];
}

/** Something that looks like attention and is declined, or an oddity the user should know. */
export interface Refusal {
  /** An error code (docs/errors.md). */
  readonly code: string;
  /** 'refuse': this cannot be hooked; 'warn': it can, with the limitation named. */
  readonly level: 'refuse' | 'warn';
  /** Node name, 'file' when it concerns the whole model. */
  readonly node: string;
  /** Why, in a sentence. */
  readonly reason: string;
}

/** Why a rule that almost fitted did not: for --explain. */
export interface NearMiss {
  /** The rule that almost fitted. */
  readonly rule: string;
  /** Where. */
  readonly node: string;
  /** What did not fit. */
  readonly reason: string;
}

/** What was recognised in a model. */
export interface Recognition {
  /** The model the sites speak of: the one given, its model-local functions expanded (onnx/inline.ts). */
  readonly model: Model;
  /** Every attention, in order of execution. */
  readonly sites: readonly Site[];
  /** The residual stream around each layer. */
  readonly residual: readonly ResidualLayer[];
  /** What is declined, and oddities. */
  readonly refused: readonly Refusal[];
  /** Rules that almost fitted, for --explain. */
  readonly nearMisses: readonly NearMiss[];
}
