/**
 * What may be done between q·k and the head outputs, as data: which primitive, with which parameters as knobs. Edits of
 * one point are applied in the fixed order of this list: temperature, gain, bias, logWeights, (softmax), act,
 * var, headScale.
 */
import { AttuneError } from '../../errors.ts';
import { DataType } from '../../onnx/index.ts';
import { floatKnob, int64Knob, type Knob, type State } from './lowered.ts';

export type Edit =
  /** a·S. Knob a [B|1, H]. */
  | { readonly kind: 'temperature' }
  /** S + b·|S|. Knob b [B|1, H|1, T|1]; rows 'last' touches only the last row of a call. */
  | { readonly kind: 'gain'; readonly rows: 'all' | 'last' }
  /**
   * Weights of some keys multiplied per head. Knob log_weight [B|1, H|1]; keys: 'first' the first real token (knob first
   * [B|1]), 'given' a mask (knob keys [B|1, T|1]).
   */
  | { readonly kind: 'logWeights'; readonly keys: 'first' | 'given' }
  /** A logit bias per head and key. Knob key_bias [B|1, H|1, T|1]. */
  | { readonly kind: 'bias' }
  /**
   * ACT. Knobs beta [B|1, H], tau, alpha [B|1, H|1], first [B|1]. Sinks are found from the rows of this call ('chunk'),
   * of all calls ('running', with column sums and counts as state), from each row by itself ('row'), or given as a
   * knob sinks [B|1, H|1, T|1] ('frozen').
   */
  | {
      readonly kind: 'act';
      readonly stats: 'chunk' | 'running' | 'frozen' | 'row';
      readonly exclude: 'initial' | 'first_detected';
    }
  /**
   * VAR. Knobs sink, visual [B|1, T|1], rows_from [B|1], p, rho, min_visual [B|1, H|1]. Rows that may change: those
   * from `rows_from` on, or with rows 'text', and then without that knob, all that are not visual themselves.
   */
  | { readonly kind: 'var'; readonly semantics: 'paper' | 'code'; readonly rows?: 'text' }
  /** Factor per head on the output. Knob head_scale [B|1, H]. */
  | { readonly kind: 'headScale' };

/** A position no sequence reaches. */
export const BEYOND = 2 ** 31 - 1;

/** Softmax over one axis, axes of reductions as inputs: what the emitted nodes count on. */
const OLDEST_OPSET = 13;

/**
 * @throws AttuneError EDIT_TWICE for two edits of one kind at a site, OPSET_TOO_OLD
 */
export function checkEdits(
  site: { readonly name: string; readonly opset: number },
  edits: readonly Edit[],
): void {
  const kinds = edits.map(({ kind }) => kind);
  const twice = kinds.find((kind, i) => kinds.indexOf(kind) < i);
  if (twice) {
    throw new AttuneError('EDIT_TWICE', {
      at: site.name,
      found: `two edits '${twice}'`,
      expected: 'one of a kind',
      hint: 'Combine their parameters: biases add, factors multiply.',
    });
  }
  if (site.opset < OLDEST_OPSET) {
    throw new AttuneError('OPSET_TOO_OLD', {
      at: site.name,
      found: `ai.onnx operator set ${site.opset}`,
      expected: `${OLDEST_OPSET} or later`,
      hint: 'Convert the model with onnx.version_converter.',
    });
  }
}

/** The knobs of an edit at a site of H heads; names start with `prefix`. */
export function knobsOf(edit: Edit, prefix: string, H: number): Knob[] {
  const name = (knob: string) => `${prefix}.${knob}`;
  const perHead = (knob: string, value: number, doc: string) =>
    floatKnob(name(knob), ['B', H], Array(H).fill(value), [1, H], doc);
  const scalar = (knob: string, value: number, doc: string) =>
    floatKnob(name(knob), ['B', 'H'], [value], [1, 1], doc);
  const perKey = (knob: string, doc: string) => floatKnob(name(knob), ['B', 'T'], [0], [1, 1], doc);
  const perHeadAndKey = (knob: string, doc: string) =>
    floatKnob(name(knob), ['B', 'H', 'T'], [0], [1, 1, 1], doc);
  const position = (knob: string, doc: string) => int64Knob(name(knob), ['B'], [0], [1], doc);
  switch (edit.kind) {
    case 'temperature':
      return [perHead('a', 1, 'Factor on the logits, 1/τ. 0 makes a row uniform.')];
    case 'gain':
      return [perHeadAndKey('b', 'Share of its own size a logit is raised by.')];
    case 'logWeights':
      return [
        // [1, 1] where all heads agree: a fused operator's bias is then shared by the heads, and cheap.
        scalar('log_weight', 0, 'ln of the factor on the weight of the marked keys.'),
        edit.keys === 'first'
          ? position('first', 'Column of the first real token.')
          : perKey('keys', '1 at the keys whose weight changes.'),
      ];
    case 'bias':
      return [perHeadAndKey('key_bias', 'Added to the logits; ln of a factor on the weight.')];
    case 'act':
      return [
        perHead('beta', 1, 'Share of their weight sinks keep; 1 leaves a head alone.'),
        ...(edit.stats === 'frozen'
          ? [perHeadAndKey('sinks', '1 at the sinks of each head.')]
          : [
              scalar('tau', 0, 'Absolute threshold on a key’s mean weight.'),
              scalar('alpha', 0, 'Threshold as a multiple of the uniform weight; added to tau.'),
              position('first', 'Column of the first real token.'),
            ]),
      ];
    case 'var':
      return [
        perKey('sink', '1 at sinks, textual and visual.'),
        perKey('visual', '1 at visual tokens.'),
        ...(edit.rows ? [] : [position('rows_from', 'First position whose row may change.')]),
        scalar('p', 0, 'Share of every sink’s weight that moves.'),
        scalar('rho', 0.5, 'Smallest share of visual mass outside sinks.'),
        scalar('min_visual', 0.2, 'Smallest visual mass.'),
      ];
    case 'headScale':
      return [perHead('head_scale', 1, 'Factor on a head’s output.')];
  }
}

/** State an edit keeps from call to call. */
export function statesOf(edit: Edit, prefix: string, H: number): State[] {
  if (edit.kind !== 'act' || edit.stats !== 'running') return [];
  const state = (name: string, heads: number): State => ({
    input: `${prefix}.past_${name}`,
    output: `${prefix}.present_${name}`,
    elemType: DataType.FLOAT,
    shape: ['B', heads, 'P'],
  });
  return [state('column_sum', H), state('column_count', 1)];
}
