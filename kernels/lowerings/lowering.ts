/**
 * What a lowering is: one way of computing an attention with edits at its site, as a row of a table (registry.ts). A row says
 * for which sites and edits it can be had, and why not for the others; which one is taken is decided in one place
 * (choose.ts), for the compiler and for `attune inspect` alike.
 */
import type { Graph, GraphIndex } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import type { Edit, EditContext } from '../plan.ts';
import type { FrontBias } from '../site/bias.ts';
import type { Part } from '../site/fragment.ts';
import type { State } from './lowered.ts';
import type { SharedParts } from './segments/shared-parts.ts';

/** Ways of computing every call of a site. */
export const LOWERINGS = ['keep-operator', 'keep-in-blocks', 'expand', 'at-pattern', 'native'] as const;
/** A way to compute edited attention. */
export type LoweringName = (typeof LOWERINGS)[number];

/** Ways that take some calls of a site, where the one chosen for it takes the rest. */
export type CompanionName = 'decode-step' | 'documents';

/** What a graph will run on. */
export interface Target {
  /** Execution provider, as ONNX Runtime calls it. */
  readonly ep: string;
  /** The model's ai.onnx operator set. */
  readonly opset: number;
  /** The graph as it came. */
  readonly graph: Graph;
  /** Version of ONNX Runtime; undefined: not known, taken for a new one. */
  readonly onnxruntime?: string | undefined;
  /** Operators that the runtime has a kernel for: beginnings of their names. Default: none. */
  readonly operators?: readonly string[] | undefined;
}

/** `true`, or why not: a clause that follows the name of the lowering. */
export type Support = true | string;

export interface Supports {
  supports(site: Site, edits: readonly Edit[], target: Target): Support;
}

export interface Lowering extends Supports {
  readonly name: LoweringName;
  /** What it does, for people. */
  readonly doc: string;
  /** @throws AttuneError EDIT_TWICE, KNOB_MISSING, OPSET_TOO_OLD for edits that contradict each other or lack values */
  lower(site: Site, work: SiteWork, context: LoweringContext): SiteFragment;
}

/** What the edits of a site came to before its attention is computed. */
export interface SiteWork {
  readonly edits: readonly Edit[];
  /** What is added to its logits, and what is beyond hiding padding: float32, broadcastable to [B, H, S, T]. */
  readonly bias?: string | undefined;
  readonly beyondPadding?: string | undefined;
  /** The same where a fused operator has it among its inputs already. */
  readonly front?: FrontBias | undefined;
  /** Factors its queries were multiplied with: float32 [1|B, 1|H]. */
  readonly queryScale?: string | undefined;
  /** Its pattern is asked for. */
  readonly tapped: boolean;
}

/** What a lowering may use of the graph around. */
export interface LoweringContext extends EditContext {
  readonly target: Target;
  /** Lookups over the graph as it came. */
  readonly index: GraphIndex;
  /** Rows of a block under 'keep-in-blocks'. Default BLOCK_ROWS. */
  readonly blockRows?: number | undefined;
  /** Bytes of scores held at a time under 'expand'. Default BLOCK_BYTES. */
  readonly scoreBytes?: number | undefined;
  /** What all sites over documents have in common. */
  readonly shared: SharedParts;
  /** The site with its operator and its values as edits so far left them; 'unscaled': with queries nothing multiplied. */
  edited(site: Site, queries?: 'unscaled'): Site;
  /** The value that readers of a value read now. */
  now(value: string): string;
  /** From here on readers of a value read another. */
  rewire(value: string, replacement: string): void;
  /** float32 [B, H, S, T]: the site's pattern as all edits but documents leave it. */
  pattern(site: Site): string;
}

/** What stands for a site: nodes, their results by what they are, and what goes from call to call. */
export interface SiteFragment extends Part {
  readonly states: readonly State[];
  readonly opsets: Readonly<Record<string, number>>;
  /** Its nodes make what the site's operator made, which leaves the graph. */
  readonly replaces: boolean;
}

/** For what is done by the operator's inputs alone. */
export const NOTHING: SiteFragment = {
  nodes: [],
  functions: new Map(),
  results: {},
  states: [],
  opsets: {},
  replaces: false,
};

/** Operator set that the nodes of lowerings are written for: Softmax over one axis, axes of reductions as inputs. */
export const OLDEST_OPSET = 13;

export function tooOld({ opset }: Target): string | undefined {
  return opset < OLDEST_OPSET ? `needs operator set ${OLDEST_OPSET}, the model has ${opset}` : undefined;
}
