/**
 * Which graph a run needs, or a session has: kinds of interventions compiled in, the correction of padding, an overlay of taps
 * and hooks. A graph serves a run that needs less, since what is not in force is neutral.
 */
import type { HookPoint } from '../../sites/points/index.ts';
import type { Edit, Knob, KnobValue, Plan } from '../compile/index.ts';
import { type Feeds, type PassResults, paddingPlan, type TapListener } from '../session/index.ts';
import type { ModelFacts } from './facts.ts';
import { STAGES } from './report.ts';
import type { PlacedKind } from './stack.ts';

/** Extra edits and taps for some runs, such as those of runWithCache. */
export interface Overlay {
  readonly key: string;
  readonly taps: readonly HookPoint[];
  readonly knobs?: readonly Knob[];
  readonly edits?: readonly Edit[];
  /** Who is handed the taps. They are fetched only while there is someone. */
  readonly listeners: Set<TapListener>;
  /** Replaces the plain pass of a run, for schemes that need several. */
  readonly runner?: (feeds: Feeds, pass: OverlayPass) => Promise<PassResults['outputs']>;
}

export type OverlayPass = (
  feeds: Feeds,
  knobs: Readonly<Record<string, KnobValue>>,
  listener: TapListener,
) => Promise<PassResults['outputs']>;

export class LiveGraph {
  readonly kinds: readonly PlacedKind[];
  readonly padding: boolean;
  readonly overlay: Overlay | undefined;
  /** Kinds that carry something from call to call. A cache made in one graph is continued in another of the same memory. */
  readonly memory: string;
  readonly key: string;
  readonly #keys: ReadonlySet<string>;

  constructor(kinds: readonly PlacedKind[], padding: boolean, overlay: Overlay | undefined) {
    this.kinds = kinds;
    this.padding = padding;
    this.overlay = overlay;
    this.memory = memoryOf(kinds);
    const keys = kinds.map(({ key }) => key).sort();
    this.#keys = new Set(keys);
    this.key = [keys.join(), padding ? 'padding' : '', overlay?.key ?? ''].join('|');
  }

  serves(wish: LiveGraph): boolean {
    return (
      this.overlay?.key === wish.overlay?.key &&
      (this.padding || !wish.padding) &&
      wish.kinds.every(({ key }) => this.#keys.has(key)) &&
      (wish.memory === '' || wish.memory === this.memory)
    );
  }

  /**
   * A graph that serves this and what `other` has, as far as the two may share one: kinds that remember stay among themselves,
   * and of a kind in two variants this one's is taken.
   */
  with(other: LiveGraph): LiveGraph {
    const own = new Set(this.kinds.map(({ kind }) => kind.name));
    const foreign = this.memory !== '' && this.memory !== other.memory;
    const added = other.kinds.filter(({ kind, remembers }) => !own.has(kind.name) && !(foreign && remembers));
    return new LiveGraph([...this.kinds, ...added], this.padding || other.padding, this.overlay);
  }

  plan(facts: ModelFacts): Plan {
    const hasMask = facts.file.model.graph.inputs.some(({ name }) => name === 'attention_mask');
    const kinds = [...this.kinds].sort((a, b) => STAGES.indexOf(a.kind.stage) - STAGES.indexOf(b.kind.stage));
    const plans = [
      ...(this.padding ? [paddingPlan(facts.decoder, hasMask)] : []),
      ...kinds.map(({ plan }) => plan),
    ];
    return {
      taps: this.overlay?.taps ?? [],
      knobs: [...distinct(plans.flatMap((plan) => plan.knobs ?? [])), ...(this.overlay?.knobs ?? [])],
      edits: [...once(plans.flatMap((plan) => plan.edits ?? [])), ...(this.overlay?.edits ?? [])],
    };
  }

  /** Whether it has edits of kinds, in force or not, or of an overlay. */
  get edits(): boolean {
    const own = this.kinds.some(({ plan }) => (plan.edits ?? []).length > 0);
    return own || (this.overlay?.edits ?? []).length > 0;
  }
}

export const memoryOf = (kinds: readonly PlacedKind[]): string =>
  kinds
    .filter(({ remembers }) => remembers)
    .map(({ key }) => key)
    .sort()
    .join();

/** Kinds may share a knob, such as the places of the images. */
function distinct(knobs: readonly Knob[]): Knob[] {
  return [...new Map(knobs.map((knob) => [knob.name, knob])).values()];
}

/** What several kinds share stands once. */
function once(edits: readonly Edit[]): Edit[] {
  const seen = new Set<string>();
  return edits.filter((edit) => {
    if (!('shared' in edit) || edit.shared === undefined) return true;
    const key = `${edit.shared} ${edit.site.index}`;
    return !seen.has(key) && seen.add(key);
  });
}
