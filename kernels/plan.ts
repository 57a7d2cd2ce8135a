/**
 * What to do to a graph, as data: taps read hook points, knobs are inputs with a neutral default, edits change
 * what flows. A plan says nothing of graph forms; compile.ts knows those.
 */

import type { HookPoint } from '../sites/points/index.ts';
import type { Site } from '../sites/site.ts';
import type { Edit as KernelEdit } from './edits/edit.ts';
import type { Mode } from './lowerings/segments/index.ts';
import type { EditContext } from './site/context.ts';

export type { Carried, EditContext } from './site/context.ts';

/** An extra graph input. Feeding `neutral` leaves the model's outputs bit-identical. */
export interface Knob {
  /** Name of the graph input; begin it with the name of your method. */
  readonly name: string;
  /** DataType. */
  readonly elemType: number;
  /**
   * Lengths; a text names one that is free. The first is the settings axis: 1, or one for each row of a batch.
   */
  readonly shape: readonly (number | string)[];
  /** The value under which the model is untouched. */
  readonly neutral: KnobValue;
  /** The value belongs to a sequence: it is fed with its first call, kept beside the cache, and fed again with it. */
  readonly kept?: boolean | undefined;
}

/** A value for a knob. */
export interface KnobValue {
  /** Lengths, which fit the knob's shape. */
  readonly dims: readonly number[];
  /** Row-major elements of the knob's type: float32, int64, bool as bytes. */
  readonly data: Float32Array | BigInt64Array | Uint8Array;
}

/**
 * What to do to the graph, at one site, at one hook point, or after all else. Every `build` is given a context to
 * emit nodes with and returns the name of a value.
 */
export type Edit =
  /** Add to the logits, before softmax. The value must broadcast to [B,H,S,T]; float32. */
  | {
      readonly kind: 'bias';
      readonly site: Site;
      /** It does nothing but hide padding, which attention that is written out hides by itself. */
      readonly hidesPadding?: boolean;
      /** The knob that it is a multiple of: where that is 0 everywhere, it does nothing at any site. */
      readonly multipleOf?: string;
      build(context: EditContext, site: Site): string;
    }
  /** Multiply the queries, and with them the logits before mask and bias. The value is float32 [1|B, 1|H]. */
  | { readonly kind: 'query-scale'; readonly site: Site; build(context: EditContext, site: Site): string }
  /**
   * Replace the logits of an unfused site. In and out [B,H,S,T] in the site's element type, scaled, capped and masked:
   * hidden keys are below MASKED_BELOW.
   */
  | {
      readonly kind: 'logits';
      readonly site: Site;
      readonly shared?: string;
      build(context: EditContext, scores: string): string;
    }
  /** Replace the value at a hook point. In and out in the point's normalised axes. */
  | { readonly kind: 'write'; readonly point: HookPoint; build(context: EditContext, value: string): string }
  /** Replace one input of a fused operator. */
  | {
      readonly kind: 'operand';
      readonly site: Site;
      readonly input: number;
      build(context: EditContext, value: string): string;
    }
  /**
   * Not at a site: once, in the main graph, after all other edits have been built, in whatever order that was. What they made is
   * found by its key (`once`).
   */
  | { readonly kind: 'after'; build(context: EditContext): void }
  | ExpandEdit
  | SegmentsEdit;

/**
 * Attention over interchangeable documents in place of a site's own (kernels/lowerings/segments), where any row of the
 * batch has two documents or more; else the site runs as it would without, bit for bit. The KV cache then holds other keys
 * than the untouched model's.
 */
export interface SegmentsEdit {
  /** Tells it from other edits. */
  readonly kind: 'segments';
  /** Where: one attention of the graph. */
  readonly site: Site;
  /** The arrangement of documents. */
  readonly mode: Mode;
  /** k: documents at most, two or more. */
  readonly documents: number;
  /** Name of the knob of bounds, int64 [B|1, k + 1], as LayoutInputs says. */
  readonly bounds: string;
  /** Name of the knob of ties, int64 [B|1, k]. */
  readonly ties: string;
}

/** Edit logits and probabilities inside an attention, which is written out for it; its other edits stay in force. */
export interface ExpandEdit {
  /** Tells it from other edits. */
  readonly kind: 'expand';
  /** Where: one attention of the graph. */
  readonly site: Site;
  /** What to do; at unfused sites only edits of the probabilities. */
  readonly edits: readonly KernelEdit[];
  /** Kinds that share an edit give it one name: where several are compiled in, it stands once. */
  readonly shared?: string;
  /**
   * Values for the knobs of `edits`, by their local names. What an edit can keep by itself (EditRow.kept) and is not given
   * here, it finds in the first call of a sequence.
   */
  values(context: EditContext, site: Site): Readonly<Record<string, string>>;
  /** Hook points that `values` reads. */
  readonly reads?: readonly HookPoint[];
  /** A bool of one element. Where false the site runs as it would without this edit, bit for bit. Default: true. */
  active?(context: EditContext, site: Site): string;
}

/** What is done to a graph: taps, knobs and edits. */
export interface Plan {
  /** Hook points to hand out. */
  readonly taps?: readonly HookPoint[];
  /** Inputs to add, each with its neutral value. */
  readonly knobs?: readonly Knob[];
  /** Applied in order; several at one point compose. */
  readonly edits?: readonly Edit[];
  /** Do edits carry something from call to call? */
  readonly remembers?: boolean;
}
