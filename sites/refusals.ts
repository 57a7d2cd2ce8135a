/** P8: what looks like attention and cannot be hooked, and limitations of sites that can. Refused by name, with the reason. */
import { describeNode, type Node, qualifiedOp } from '../onnx/index.ts';
import type { SiteDraft } from './rule.ts';
import type { Scope } from './scope.ts';
import type { Capability, NearMiss, Refusal } from './site.ts';

const WRAPPED =
  'the whole generation loop is one operator; values of its sub-graph cannot become graph outputs';
const DECODE_KERNEL =
  'a decode kernel for beam search: one query position, its own cache layout, no hook inside';
const RECURRENT = 'a recurrent mixer: there is no attention matrix';
const PADDED = 'padding is removed before it: rows are tokens of all sequences, not positions of one';
const QUANTISED = 'q, k, v and scores are integers inside the operator';

const GENERATION: Record<string, string> = {
  'com.microsoft.BeamSearch': WRAPPED,
  'com.microsoft.WhisperBeamSearch': WRAPPED,
  'com.microsoft.GreedySearch': WRAPPED,
  'com.microsoft.Sampling': WRAPPED,
};

const REFUSED: Record<string, string> = {
  ...GENERATION,
  'com.microsoft.DecoderMaskedMultiHeadAttention': DECODE_KERNEL,
  'com.microsoft.DecoderMaskedSelfAttention': DECODE_KERNEL,
  'com.microsoft.DecoderAttention':
    'time-major layout with its own cache handling, superseded by MultiHeadAttention',
  'com.microsoft.SparseAttention':
    'a block-sparse kernel: the pattern is defined by a block layout, not by a softmax over all keys',
  'com.microsoft.PagedAttention': 'keys live in pages of a cache the server owns',
  'com.microsoft.LinearAttention': 'linear attention: there is no softmax over keys',
  'com.microsoft.LongformerAttention': 'windowed attention with global tokens in one kernel',
  'com.microsoft.PackedAttention': PADDED,
  'com.microsoft.PackedMultiHeadAttention': PADDED,
  'com.microsoft.QAttention': QUANTISED,
  'com.microsoft.QOrderedAttention': QUANTISED,
  'com.microsoft.QOrderedLongformerAttention': QUANTISED,
  'com.microsoft.GatedRelativePositionBias':
    'a bias computed from queries; the attention it belongs to is listed by itself',
  'com.microsoft.CausalConvWithState': RECURRENT,
  LSTM: RECURRENT,
  GRU: RECURRENT,
  RNN: RECURRENT,
};

/** Whether values below this step cannot be reached from outside. */
export function isGenerationWrapper(node: Node): boolean {
  return qualifiedOp(node) in GENERATION;
}

/** The refusal of a node, when it is one of the operators above or names itself attention without a rule. */
export function refusalOf(node: Node, hasRule: (op: string) => boolean): Refusal | undefined {
  const op = qualifiedOp(node);
  const reason = REFUSED[op];
  if (reason)
    return {
      code: 'ATTENTION_UNSUPPORTED',
      level: 'refuse',
      node: describeNode(node),
      reason: `${op}: ${reason}`,
    };
  if (!/attention/i.test(node.opType) || hasRule(op)) return undefined;
  return {
    code: 'ATTENTION_UNKNOWN',
    level: 'refuse',
    node: describeNode(node),
    reason: `${op}: an operator that calls itself attention and is not known`,
  };
}

/** Masking values are large and negative; anything above this does not hide a key. */
const WEAKEST_FILLER = -100;

/** Capabilities as a reader of `inspect` meets them. */
const WORDS: Readonly<Record<Capability, string>> = {
  scores: 'hook_attn_scores',
  pattern: 'hook_pattern',
  logits: 'edits of logits (zerotuning)',
  queries: 'edits of queries (temperature)',
  probabilities: 'edits of probabilities (act, pine, var)',
  rotation: 'hook_rot_q and hook_rot_k',
  projections: 'hook_q, hook_k and hook_v',
};

/** Limitations of a site, for the user to know. */
export function siteWarnings(scope: Scope, site: SiteDraft): Refusal[] {
  const node = describeNode(site.anchor);
  const warn = (code: string, reason: string): Refusal => ({ code, level: 'warn', node, reason });
  const found = [...(site.warnings ?? [])];
  const loop = scope.path.find((step) => step.node.opType === 'Loop' || step.node.opType === 'Scan');
  if (loop) {
    const where = `${describeNode(loop.node)} runs it once per iteration`;
    found.push(
      warn(
        'SITE_IN_LOOP',
        `inside a ${loop.node.opType} body: ${where}, and lengths may differ between iterations`,
      ),
    );
  }
  if (site.scale === undefined)
    found.push(warn('SCALE_AT_RUN_TIME', 'the factor on the scores is a run-time value'));
  if (site.causal === null) found.push(warn('CAUSALITY_UNKNOWN', site.causalBy));
  const lacking = new Map<string, Capability[]>();
  for (const [capability, reason] of Object.entries(site.lacks ?? {}) as [Capability, string][]) {
    lacking.set(reason, [...(lacking.get(reason) ?? []), capability]);
  }
  for (const [reason, capabilities] of lacking) {
    found.push(
      warn('SITE_LACKS', `${reason}: it has no ${capabilities.map((one) => WORDS[one]).join(', ')}`),
    );
  }
  for (const mask of site.masks) {
    const fillers = mask.kind === 'select' && mask.node.opType === 'Where' ? mask.node.inputs.slice(1) : [];
    const filler = fillers.map((value) => scope.scalar(value)).find((value) => value !== undefined);
    if (filler !== undefined && filler > WEAKEST_FILLER) {
      found.push(
        warn(
          'MASK_FILLER',
          `${describeNode(mask.node)} fills masked scores with ${filler}, which hides nothing`,
        ),
      );
    }
  }
  return found;
}

/** What almost was attention beside what was recognised: nobody edits it. */
export function missedRefusals(nearMisses: readonly NearMiss[]): Refusal[] {
  return nearMisses.map(({ node, rule, reason }) => ({
    code: 'NEAR_MISS',
    level: 'refuse',
    node,
    reason: `almost ${rule}: ${reason}`,
  }));
}

/** That methods reach a part of a model's attention only, where that is so. */
export function partialRemark(
  sites: number,
  refused: readonly Refusal[],
  nearMisses: readonly NearMiss[],
): Refusal | undefined {
  const declined = refused.filter(
    ({ code }) => code === 'ATTENTION_UNSUPPORTED' || code === 'ATTENTION_UNKNOWN',
  ).length;
  const beyond = declined + nearMisses.length;
  if (sites === 0 || beyond === 0) return undefined;
  return {
    code: 'ATTENTION_PARTIAL',
    level: 'warn',
    node: 'file',
    reason: `${sites} of ${sites + beyond} nodes that look like attention can be hooked; methods edit these and leave the others as they are`,
  };
}

/** What to say of a file without any site. */
export function fileRefusal(
  sites: number,
  refused: readonly Refusal[],
  nearMisses: readonly NearMiss[],
): Refusal | undefined {
  if (sites > 0 || refused.some(({ level }) => level === 'refuse')) return undefined;
  const almost =
    nearMisses.length > 0
      ? `; ${nearMisses.length} node(s) almost matched, the first ${nearMisses[0]!.node}: ${nearMisses[0]!.reason}`
      : '';
  return {
    code: 'NO_ATTENTION',
    level: 'refuse',
    node: 'file',
    reason: `no attention in the graph${almost}`,
  };
}
