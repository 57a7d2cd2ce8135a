/**
 * Interventions in force, as one value: checked against the model and against each other, in the order they act. Nothing in it
 * changes, so any number of requests may hold it, each its own.
 */
import { AttuneError } from '../../errors.ts';
import { changesCache, type KnobValue, type Plan, remembers } from '../compile/index.ts';
import type { Feeds, StateSettings } from '../session/index.ts';
import type { CacheNote } from './cache-note.ts';
import type { Contrast, Decoding } from './decoding/decoding.ts';
import type { ModelFacts } from './facts.ts';
import {
  type GivenInterventions,
  type Intervention,
  type InterventionKind,
  type Variant,
  variantKey,
} from './intervention.ts';
import { STAGES } from './report.ts';
import type { RequestState } from './request.ts';
import { asInterventions } from './specification.ts';

/** A kind with what it puts into a graph. */
export interface PlacedKind {
  readonly kind: InterventionKind;
  readonly plan: Plan;
  /** Name and variant: equal for what compiles to the same edits. */
  readonly key: string;
  /** Carries something from call to call. */
  readonly remembers: boolean;
}

export function placedKind(
  kind: InterventionKind,
  variant: Variant | undefined,
  facts: ModelFacts,
): PlacedKind {
  const plan = kind.plan(facts, variant);
  return { kind, plan, key: `${kind.name} ${variantKey(variant)}`, remembers: remembers(plan) };
}

/** Whether a kind leaves the graph as it is. */
export const isEmpty = ({ taps = [], knobs = [], edits = [] }: Plan): boolean =>
  taps.length + knobs.length + edits.length === 0;

export class Stack {
  readonly interventions: readonly Intervention[];
  /** Kinds that have a place in the graph; what acts after the logits alone has none. */
  readonly placed: readonly PlacedKind[];
  /** Under what states of caches are collected; undefined where nothing relies on any. */
  readonly states: StateSettings | undefined;
  /** Knob values of the specifications, by name. */
  readonly knobs: Readonly<Record<string, KnobValue>>;
  /** The one that runs calls in a way of its own. */
  readonly runner: Intervention | undefined;
  /** The one that acts after the logits. */
  readonly decoding: { readonly intervention: Intervention; readonly decoding: Decoding } | undefined;
  readonly #facts: ModelFacts;
  #second: Stack | undefined;

  /**
   * @throws AttuneError INTERVENTIONS_EXPECTED, INTERVENTION_TWICE, INTERVENTION_CONFLICT, INTERVENTION_REFUSED and those of the
   *   kinds' own parameter checks
   */
  constructor(interventions: GivenInterventions, facts: ModelFacts) {
    this.#facts = facts;
    this.interventions = ordered(interventions);
    this.knobs = Object.assign({}, ...this.interventions.map((one) => one.kind.knobs(one, facts)));
    const placed = this.interventions.map((one) => ({
      one,
      ...placedKind(one.kind, one.kind.variant?.(one), facts),
    }));
    this.placed = placed.filter(({ plan }) => !isEmpty(plan));
    const remembering = placed.filter((each) => each.remembers);
    this.states =
      remembering.length === 0
        ? undefined
        : {
            name: remembering.map(({ one }) => `${one.intervention} ${one.hash.slice(0, 8)}`).join(' and '),
            ownCache: remembering.some(({ plan }) => changesCache(plan)),
          };
    this.runner = this.interventions.find(({ kind }) => kind.run !== undefined);
    this.decoding = decodingOf(this.interventions);
    const dropping = this.interventions.find(({ kind }) => kind.dropsKeys);
    if (dropping) {
      const others = remembering.filter(({ one }) => one !== dropping).map(({ one }) => one);
      this.#checkBeside(dropping, others);
    }
  }

  /** @throws AttuneError INTERVENTION_CONFLICT for what counts the columns of a sequence whose keys go */
  #checkBeside({ intervention: name }: Intervention, remembering: readonly Intervention[]): void {
    const conflict = (other: string, hint: string) =>
      new AttuneError('INTERVENTION_CONFLICT', { found: `${name} with ${other}`, hint });
    const [other] = remembering;
    if (other) {
      throw conflict(
        other.intervention,
        `${other.intervention} keeps something for each key from call to call; ${name} leaves keys out. Use a form of it without memory.`,
      );
    }
    const spans = this.interventions.find(({ kind: { needs } }) =>
      needs.some((need) => need === 'document-spans' || need === 'image-span'),
    );
    if (spans) {
      throw conflict(
        spans.intervention,
        `${spans.intervention} finds spans by their columns, which move when keys are left out.`,
      );
    }
    if (this.decoding?.decoding.kind === 'search') {
      throw conflict(
        this.decoding.intervention.intervention,
        'Beams move between the rows of a cache, and what is known of kept keys does not move with them.',
      );
    }
  }

  /** @throws AttuneError STATE_MISMATCH for a cache with keys left out by what is not in force */
  checkCache(cache: CacheNote | undefined): void {
    if (cache === undefined || this.interventions.some(({ hash }) => hash === cache.hash)) return;
    throw new AttuneError('STATE_MISMATCH', {
      found: `a cache that ${cache.madeBy} ${cache.hash.slice(0, 8)} left keys out of`,
      expected: 'the same intervention in force, or a cache with all keys',
      hint: 'Start the sequence again, without past_key_values, or go on under what it was begun with.',
    });
  }

  /** Knob values that depend on the request. */
  feed(request: RequestState, feeds: Feeds): Readonly<Record<string, KnobValue>> {
    const values = this.interventions.map((one) => one.kind.feed?.(one, this.#facts, request, feeds) ?? {});
    return Object.assign({}, ...values);
  }

  /** What is in force in the second stream of a contrast. */
  second(): Stack {
    const { intervention, decoding } = this.decoding!;
    const { editsSecond = false, aside = [] } = decoding as Contrast;
    this.#second ??= new Stack(
      [...this.interventions.filter((one) => editsSecond || one !== intervention), ...aside],
      this.#facts,
    );
    return this.#second;
  }
}

function decodingOf(interventions: readonly Intervention[]): Stack['decoding'] {
  for (const intervention of interventions) {
    const decoding = intervention.kind.decoding?.(intervention);
    if (decoding) return { intervention, decoding };
  }
  return undefined;
}

/** Interventions in the order they act; one of each kind, no two that exclude each other. */
function ordered(given: unknown): readonly Intervention[] {
  const interventions = asInterventions(given);
  interventions.forEach((one, i) => {
    for (const other of interventions.slice(0, i)) checkPair(other, one);
  });
  const sorted = [...interventions].sort(
    (a, b) => STAGES.indexOf(a.kind.stage) - STAGES.indexOf(b.kind.stage),
  );
  return Object.freeze(sorted);
}

function checkPair(first: Intervention, second: Intervention): void {
  const [a, b] = [first.kind, second.kind];
  const conflict = (reason: string) =>
    new AttuneError('INTERVENTION_CONFLICT', { found: `${a.name} with ${b.name}`, hint: reason });
  if (a.name === b.name) {
    throw new AttuneError('INTERVENTION_TWICE', {
      found: `${a.name} given twice`,
      expected: 'at most one of each kind',
      hint: 'Combine the settings in one specification, for example a γ per layer and head.',
    });
  }
  if (a.run && b.run) {
    throw conflict('Both run passes of their own around a call; use one of them at a time.');
  }
  const reason = reasonOf(second, first) ?? reasonOf(first, second);
  if (reason !== undefined) throw conflict(reason);
  if (a.decoding?.(first) && b.decoding?.(second)) {
    throw conflict('Each decides how tokens are chosen; use one at a time.');
  }
}

function reasonOf(own: Intervention, other: Intervention): string | undefined {
  const reason = own.kind.conflicts?.[other.kind.name];
  return typeof reason === 'function' ? reason(own, other) : reason;
}
