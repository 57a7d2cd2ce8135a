/**
 * What to do to a graph, as data: taps read hook points, knobs are inputs with a neutral default, edits change
 * what flows. A plan says nothing of graph forms; compile.ts knows those.
 */

import type { Emit } from '../onnx/emitter.ts';
import type { HookPoint } from '../sites/points/index.ts';
import type { Site } from '../sites/site.ts';
import type { Edit as KernelEdit } from './lowerings/edits.ts';
import type { Mode } from './lowerings/segments/index.ts';

/** An extra graph input. Feeding `neutral` leaves the model's outputs bit-identical. */
export interface Knob {
  readonly name: string;
  /** DataType. */
  readonly elemType: number;
  readonly shape: readonly (number | string)[];
  readonly neutral: KnobValue;
  /** The value belongs to a sequence: it is fed with its first call, kept beside the cache, and fed again with it. */
  readonly kept?: boolean | undefined;
}

export interface KnobValue {
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array | Uint8Array;
}

/** What an edit may use of the graph around it. */
export interface EditContext {
  readonly emit: Emit;
  /** [B, T] int64, 1 for real tokens: the graph's attention_mask; undefined where the model takes none. */
  readonly attentionMask: string | undefined;
  /** A graph input with axes [B, S, …]: token ids or embeddings of this call; undefined where there is neither. */
  readonly tokens: string | undefined;
  /** [B] int64, index of each row's first real token; zeros without an attention mask. */
  firstToken(): string;
  /** Emit something once per graph and share it between layers. */
  once<T extends string | readonly string[]>(key: string, make: () => T): T;
  /** The value at a hook point, in the point's normalised axes, as earlier edits left it. List it in `reads`. */
  read(point: HookPoint): string;
  /** What the call before left under this name, and how to leave something to the next: see Carried. */
  carry(name: string, width: number): Carried;
  /** Make a float32 value readable under a name, for passes that ask for it (InterventionKind.run). */
  report(name: string, value: string, rank: number): void;
}

/**
 * A float32 value that goes from call to call beside the cache. The plan must say that it `remembers`.
 * @throws AttuneError HOOK_IN_SUBGRAPH in a branch of an If, which nothing can leave
 */
export interface Carried {
  /** [B, width, P]; P is 0 at the start of a sequence. */
  readonly past: string;
  /** Must be called once. */
  keep(value: string): void;
}

export type Edit =
  /** Add to the logits, before softmax. The value must broadcast to [B,H,S,T]; float32. */
  | {
      readonly kind: 'bias';
      readonly site: Site;
      /** It does nothing but hide padding, which attention that is written out hides by itself. */
      readonly hidesPadding?: boolean;
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
  | ExpandEdit
  | SegmentsEdit;

/**
 * Attention over interchangeable documents in place of a site's own (kernels/lowerings/segments), where any row of the
 * batch has two documents or more; else the site runs as it would without, bit for bit. The KV cache then holds other keys
 * than the untouched model's.
 */
export interface SegmentsEdit {
  readonly kind: 'segments';
  readonly site: Site;
  readonly mode: Mode;
  /** k: documents at most, two or more. */
  readonly documents: number;
  /** Names of the knobs bounds [B|1, k + 1] and ties [B|1, k] int64, as LayoutInputs says. */
  readonly bounds: string;
  readonly ties: string;
}

/** Edit logits and probabilities inside an attention, which is written out for it; its other edits stay in force. */
export interface ExpandEdit {
  readonly kind: 'expand';
  readonly site: Site;
  /** What to do; of unfused sites only 'act' and 'var'. */
  readonly edits: readonly KernelEdit[];
  /** Kinds that share an edit give it one name: where several are compiled in, it stands once. */
  readonly shared?: string;
  /**
   * Values for the knobs of `edits`, by their local names (knobsOf in kernels/lowerings/edits.ts). An 'act' edit with
   * stats 'frozen' and no `sinks` finds them in the first call of a sequence and keeps them.
   */
  values(context: EditContext, site: Site): Readonly<Record<string, string>>;
  /** Hook points that `values` reads. */
  readonly reads?: readonly HookPoint[];
  /** A bool of one element. Where false the site runs as it would without this edit, bit for bit. Default: true. */
  active?(context: EditContext, site: Site): string;
}

export interface Plan {
  readonly taps?: readonly HookPoint[];
  readonly knobs?: readonly Knob[];
  /** Applied in order; several at one point compose. */
  readonly edits?: readonly Edit[];
  /** Do edits carry something from call to call? */
  readonly remembers?: boolean;
}
