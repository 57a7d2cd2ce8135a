/**
 * Closed lists: every attribute and input that an attention operator's schema offers (contrib operators of ONNX Runtime
 * 1.30, ai.onnx 24), with what attune does not model of it. What is on no list takes away everything but the values
 * that stand in the graph, by name: an option that is ignored is a number that is wrong.
 */
import { findAttribute, intAttribute, type Node, qualifiedOp } from '../onnx/index.ts';
import type { Scope } from './scope.ts';
import type { Capability, Lacks } from './site.ts';

/** What an option takes away; undefined: it is modelled, or has the value of its absence. */
type Rule = (node: Node, name: string) => readonly Capability[] | undefined;

interface Schema {
  readonly attributes: Readonly<Record<string, Rule>>;
  /** By position. */
  readonly inputs: readonly (readonly [name: string, lacks?: readonly Capability[]])[];
  readonly outputs: readonly (readonly [name: string, lacks?: readonly Capability[]])[];
}

const EVERYTHING = ['scores', 'pattern', 'logits', 'queries', 'probabilities', 'rotation'] as const;
/** What is computed beside the operator, or in its place; biases go through the operator itself. */
const OUTSIDE = ['scores', 'pattern', 'probabilities'] as const;

const modelled: Rule = () => undefined;

/** An integer of which only these values are modelled. */
const only =
  (values: readonly number[], lacks: readonly Capability[] = EVERYTHING): Rule =>
  (node, name) =>
    values.includes(intAttribute(node, name, values[0]!)) ? undefined : lacks;

const text =
  (accepted: string): Rule =>
  (node, name) => {
    const bytes = findAttribute(node, name)?.s;
    return !bytes || new TextDecoder().decode(bytes) === accepted ? undefined : EVERYTHING;
  };

/** Where the operator hands out its own scores, whoever reads them reads unedited ones once it is replaced. */
const OWN_SCORES = ['scores of its own', ['probabilities']] as const;

const GROUP_QUERY: Schema = {
  attributes: {
    num_heads: modelled,
    kv_num_heads: modelled,
    scale: modelled,
    softcap: modelled,
    do_rotary: only([0, 1]),
    rotary_interleaved: only([0, 1]),
    local_window_size: modelled,
    causal: (node) =>
      only([1, 0])(node, 'causal') ?? (intAttribute(node, 'causal', 1) === 1 ? undefined : ['probabilities']),
    smooth_softmax: (node) => {
      const value = intAttribute(node, 'smooth_softmax', 0);
      // −1 is how the schema spells "not said".
      return value === 0 || value === -1 ? undefined : value === 1 ? ['probabilities'] : EVERYTHING;
    },
    qk_output: only([0], ['probabilities']),
    qk_norm_epsilon: modelled,
    sliding_window_cache: only([0]),
    kv_cache_bit_width: only([0]),
    k_quant_type: text('NONE'),
    v_quant_type: text('NONE'),
  },
  inputs: [
    ...['query', 'key', 'value', 'past_key', 'past_value', 'seqlens_k', 'total_sequence_length'].map(named),
    ...['cos_cache', 'sin_cache', 'position_ids', 'attention_bias', 'head_sink'].map(named),
    ['k_scale', EVERYTHING],
    ['v_scale', EVERYTHING],
    // Norms inside undo a factor on the queries.
    ['q_norm_weight', [...OUTSIDE, 'queries', 'rotation']],
    ['k_norm_weight', [...OUTSIDE, 'queries', 'rotation']],
  ],
  outputs: [...['output', 'present_key', 'present_value'].map(named), OWN_SCORES],
};

const MULTI_HEAD: Schema = {
  attributes: {
    num_heads: modelled,
    scale: modelled,
    unidirectional: only([0, 1]),
    mask_filter_value: modelled,
  },
  inputs: [
    ...['query', 'key', 'value', 'bias', 'key_padding_mask', 'attention_bias', 'past_key', 'past_value'].map(
      named,
    ),
    ['past_sequence_length', EVERYTHING],
    ['cache_indirection', EVERYTHING],
  ],
  outputs: [...['output', 'present_key', 'present_value'].map(named), OWN_SCORES],
};

const PACKED: Schema = {
  attributes: {
    num_heads: modelled,
    scale: modelled,
    unidirectional: only([0, 1]),
    mask_filter_value: modelled,
    qkv_hidden_sizes: modelled,
    do_rotary: only([0], [...OUTSIDE, 'queries', 'rotation']),
    rotary_embedding_dim: modelled,
    past_present_share_buffer: only([0]),
  },
  inputs: [
    ...['input', 'weights', 'bias', 'mask_index', 'past', 'attention_bias'].map(named),
    ['past_sequence_length', EVERYTHING],
  ],
  outputs: ['output', 'present'].map(named),
};

const STANDARD: Schema = {
  attributes: {
    is_causal: only([0, 1]),
    q_num_heads: modelled,
    kv_num_heads: modelled,
    scale: modelled,
    softcap: modelled,
    softmax_precision: modelled,
    qk_matmul_output_mode: modelled,
  },
  inputs: [
    ...['Q', 'K', 'V', 'attn_mask', 'past_key', 'past_value'].map(named),
    ['nonpad_kv_seqlen', [...OUTSIDE, 'logits']],
  ],
  outputs: [...['Y', 'present_key', 'present_value'].map(named), OWN_SCORES],
};

const SCHEMAS: Readonly<Record<string, Schema>> = {
  'com.microsoft.GroupQueryAttention': GROUP_QUERY,
  'com.microsoft.MultiHeadAttention': MULTI_HEAD,
  'com.microsoft.Attention': PACKED,
  Attention: STANDARD,
};

function named(name: string): readonly [string] {
  return [name];
}

/** What cannot be read or changed at an operator because of its options, each with the first reason. */
export function optionsLack(scope: Scope, node: Node): Lacks {
  const op = qualifiedOp(node);
  const schema = SCHEMAS[op];
  const lacks: { [capability in Capability]?: string } = {};
  if (!schema) return lacks;
  const take = (capabilities: readonly Capability[] | undefined, what: string) => {
    for (const capability of capabilities ?? []) lacks[capability] ??= `${node.opType} with ${what}`;
  };
  for (const { name } of node.attributes) {
    const rule = Object.hasOwn(schema.attributes, name) ? schema.attributes[name] : undefined;
    if (rule) take(rule(node, name), `${name}=${shown(node, name)}`);
    else take(EVERYTHING, `attribute ${name}, which is not known`);
  }
  node.inputs.forEach((value, position) => {
    if (value === '') return;
    const input = schema.inputs[position];
    take(
      input ? input[1] : EVERYTHING,
      input ? `input ${input[0]}` : `an input ${position}, which is not known`,
    );
  });
  node.outputs.forEach((value, position) => {
    if (value === '') return;
    const output = schema.outputs[position];
    take(output ? output[1] : EVERYTHING, output ? output[0] : `an output ${position}, which is not known`);
  });
  if (op === 'com.microsoft.GroupQueryAttention' && withoutKeys(scope, node)) {
    take(EVERYTHING, 'no keys of its own: they are those of another layer');
  }
  return lacks;
}

function shown(node: Node, name: string): string {
  const { i, f, s, ints } = findAttribute(node, name) ?? {};
  return s ? new TextDecoder().decode(s) : String(i ?? f ?? ints ?? '…');
}

/** Keys of length 0: what is attended to is the cache alone. */
function withoutKeys(scope: Scope, node: Node): boolean {
  const key = node.inputs[1];
  return key !== undefined && key !== '' && scope.shape(key)?.[1] === 0;
}
