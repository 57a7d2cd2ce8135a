/**
 * The contract between a model and an intervention. An intervention is an immutable specification; its kind knows
 * how to build the graph once (knobs and edits, whatever the parameters) and how to turn a specification into knob
 * values. Changing parameters is therefore feeding other numbers, never another session.
 */
import type { KnobValue, Plan } from '../compile/index.ts';
import type { Feeds, OrtTensor, PassResults } from '../session/index.ts';
import type { CacheNote } from './cache-note.ts';
import type { Decoding } from './decoding/decoding.ts';
import type { ModelFacts } from './facts.ts';
import type { Report, Stage } from './report.ts';
import type { RequestState } from './request.ts';

/** Which of several graphs a specification needs: options that change the graph itself. */
export type Variant = Readonly<Record<string, string | number | boolean>>;

/** Equal for equal variants. */
export const variantKey = (variant: Variant | undefined): string =>
  Object.entries(variant ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

/** A validated specification. Frozen; equal specifications have equal hashes. */
export interface Intervention<Spec = Readonly<Record<string, unknown>>> {
  /** Name of its kind, such as zerotuning. */
  readonly intervention: string;
  /** Parameters with defaults filled in. */
  readonly spec: Spec;
  /** SHA-256 of the canonical JSON, hex. */
  readonly hash: string;
  /** What the kind does to a model. */
  readonly kind: InterventionKind;
  /** Name and parameters as plain data, from which interventionFromJSON makes an equal one. */
  toJSON(): Record<string, unknown>;
}

/**
 * What all interventions of one method share: how the graph is built for them, whatever their parameters, and how
 * parameters become knob values. defineIntervention makes it.
 */
export interface InterventionKind {
  /** Name in JSON, in reports and on the command line. */
  readonly name: string;
  /** Where in a layer it acts; kinds are stacked in the order of STAGES. */
  readonly stage: Stage;
  /**
   * What it needs of a model and of a request, for documentation and for clear refusals. A kind that needs 'document-spans'
   * has an optional parameter `documents`, [from, to) token positions; evaluation fills it in for each prompt.
   */
  readonly needs: readonly (
    | 'self-attention'
    | 'attention-mask'
    | 'image-span'
    | 'image-attention'
    | 'document-spans'
    | 'second-pass'
  )[];
  /** Leaves keys out of the cache, so that nothing beside it may count columns of the sequence. */
  readonly dropsKeys?: boolean;
  /** Names of kinds it cannot be combined with, each with the reason, or what tells from the specifications of both. */
  readonly conflicts?: Readonly<
    Record<string, string | ((own: Intervention, other: Intervention) => string | undefined)>
  >;
  /**
   * Which of several graphs a specification needs, where an option changes the graph itself; undefined asks for the
   * usual one. A model holds one variant of a kind at a time; going to another builds a session.
   */
  variant?(intervention: Intervention | undefined): Variant;
  /**
   * Knobs and edits for this model, independent of any specification but for its variant.
   * @throws AttuneError INTERVENTION_REFUSED when the model's form does not allow it
   */
  plan(model: ModelFacts, variant?: Variant): Plan;
  /**
   * Knob values of a specification.
   * @throws AttuneError LAYER_OUT_OF_RANGE, HEADS_MISMATCH, …, before anything runs
   */
  knobs(intervention: Intervention, model: ModelFacts): Readonly<Record<string, KnobValue>>;
  /** Knob values that depend on the request: spans, tokens, what earlier steps chose. */
  feed?(
    intervention: Intervention,
    model: ModelFacts,
    request: RequestState,
    feeds: Feeds,
  ): Readonly<Record<string, KnobValue>>;
  /**
   * What it does after the logits: a second stream to contrast with, or a search in place of generate; undefined where this
   * specification does neither. Only one intervention in force may have one.
   */
  decoding?(intervention: Intervention): Decoding | undefined;
  /**
   * Runs a call in a way of its own, such as with another pass before it. At most one of the interventions in force may.
   * @returns what the call returns, and what is to be read of it under the model's `attune.reports`
   */
  run?(
    intervention: Intervention,
    model: ModelFacts,
    request: RequestState,
    feeds: Feeds,
    pass: Pass,
  ): Promise<Called>;
}

/** One pass of the model. Feeds may be others than the caller's. */
export type Pass = (
  feeds: Feeds,
  options?: {
    /** On top of the knobs in force. */
    readonly knobs?: Readonly<Record<string, KnobValue>>;
    /** What interventions shall take the request for; default, the request itself. */
    readonly request?: RequestState;
    /** Names given to EditContext.report. */
    readonly reports?: readonly string[];
  },
) => Promise<PassResults>;

/** What a call that an intervention ran in a way of its own returns. */
export interface Called {
  /** Outputs of the session by name, as a plain run returns them. */
  readonly outputs: Record<string, OrtTensor>;
  /** What is to be read of it under attune.reports. */
  readonly reports?: Readonly<Record<string, Report>>;
  /** Of the cache among the outputs, where keys were left out of it. */
  readonly cache?: CacheNote | undefined;
}

/** An intervention as JSON: its name and its parameters, { intervention: 'zerotuning', gamma: 1.4 }. */
export interface InterventionJSON {
  /** Name of the kind, such as zerotuning. */
  readonly intervention: string;
  /** Its parameters, as in TypeScript. */
  readonly [parameter: string]: unknown;
}

/** What may stand in a list of interventions: what their functions return, or JSON. */
export type GivenInterventions = readonly (Intervention | InterventionJSON)[];
