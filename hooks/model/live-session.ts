/**
 * The session a transformers.js model holds. It stands still while what is behind it changes: interventions are
 * switched by feeding other knob values; a kind that was not compiled in, or new taps, rebuild the graph before the
 * next run.
 */
import { AttuneError } from '../../errors.ts';
import type { Model } from '../../onnx/index.ts';
import type { HookPoint } from '../../sites/points/index.ts';
import {
  changesCache,
  compile,
  type Edit,
  type Knob,
  type KnobValue,
  type Plan,
  remembers,
  withKeptLogits,
} from '../compile/index.ts';
import {
  executionProviderOf,
  type Feeds,
  type HookedSession,
  type OrtSession,
  type OrtTensor,
  type Runtime,
  type SessionOptions,
  StateStore,
  startSession,
} from '../session/index.ts';
import type { ModelFacts } from './facts.ts';
import type { Intervention, InterventionKind, Pass } from './intervention.ts';
import { isPadded, paddingPlan } from './padding.ts';
import { type Report, STAGES } from './report.ts';
import type { RequestState, RequestTracker } from './request.ts';

export interface LiveOptions {
  readonly facts: ModelFacts;
  readonly runtime: Runtime;
  readonly tracker: RequestTracker;
  readonly session: SessionOptions;
  /** Kinds compiled in from the start. */
  readonly prepare: readonly InterventionKind[];
  /** Correct left padding on GQA exports. */
  readonly padding: boolean;
  readonly untouchedRuns?: UntouchedRuns | undefined;
  /** Give the graph num_logits_to_keep where the export lacks it. */
  readonly numLogitsToKeep?: boolean | undefined;
}

/**
 * Stands around a run that nothing changes: of an image encoder, or of a decoder on a prompt (no cache before it, no padding) with
 * no edit in its graph and nobody who listens. Its outputs are those of the same feeds in any session of the same file, so they
 * may be remembered. Must give what `run` would.
 */
export type UntouchedRuns = (
  session: string,
  feeds: Feeds,
  run: () => Promise<Record<string, OrtTensor>>,
) => Promise<Record<string, OrtTensor>>;

/** Extra edits and taps for one scope, such as runWithCache. */
export interface Overlay {
  readonly key: string;
  readonly taps: readonly HookPoint[];
  readonly knobs?: readonly Knob[];
  readonly edits?: readonly Edit[];
  /** Replaces the plain run of the session, for schemes that need several passes. */
  readonly runner?: (
    session: HookedSession,
    feeds: Feeds,
    ...rest: (object | undefined)[]
  ) => ReturnType<OrtSession['run']>;
}

interface Built {
  readonly key: string;
  readonly session: HookedSession;
  /** Whether its graph has edits of kinds, in force or not, or of an overlay. */
  readonly edited: boolean;
}

export class LiveSession implements OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  config: unknown;
  readonly #options: LiveOptions;
  /** Kinds compiled in, and which graph of theirs. */
  readonly #kinds = new Map<string, { kind: InterventionKind; variant: string | undefined }>();
  readonly #states = new StateStore();
  #interventions: readonly Intervention[] = [];
  #overlay: Overlay | undefined;
  #current: Built | undefined;
  /** The session an overlay displaced, kept so that leaving the overlay costs nothing. */
  #resting: Built | undefined;
  /** Whether a padded batch has come by. Until then the correction, which costs time, is left out of the graph. */
  #sawPadding = false;
  #released = false;
  readonly #reports = new Map<string, Report>();

  constructor(options: LiveOptions) {
    this.#options = options;
    const { graph } = options.facts.file.model;
    const weights = new Set(graph.initializers.map(({ name }) => name));
    const { inputs } = this.#finished(options.facts.file.model).graph;
    this.inputNames = inputs.map(({ name }) => name).filter((name) => !weights.has(name));
    this.outputNames = graph.outputs.map(({ name }) => name);
    for (const kind of options.prepare) {
      this.#kinds.set(kind.name, { kind, variant: kind.variant?.(undefined) });
    }
    this.#plan();
  }

  get inputMetadata() {
    return this.#require().inputMetadata;
  }

  get outputMetadata() {
    return this.#require().outputMetadata;
  }

  get interventions(): readonly Intervention[] {
    return this.#interventions;
  }

  #require(): HookedSession {
    if (this.#current) return this.#current.session;
    throw new AttuneError('SESSION_NOT_STARTED', { hint: 'Await start() first.' });
  }

  /**
   * Use these interventions, and no others, from the next run on.
   * @throws AttuneError INTERVENTION_TWICE, INTERVENTION_CONFLICT, INTERVENTION_REFUSED and those of the kinds'
   *   own parameter checks; the interventions in force stay when it throws
   */
  use(interventions: readonly Intervention[]): void {
    const stacked = stack(interventions);
    for (const intervention of stacked) intervention.kind.knobs(intervention, this.#options.facts);
    // What acts after the logits alone has no place in the graph.
    const own = stacked
      .map((one) => ({ kind: one.kind, variant: one.kind.variant?.(one) }))
      .filter(({ kind, variant }) => !isEmpty(kind.plan(this.#options.facts, variant)));
    const before = new Map(this.#kinds);
    const key = this.#key();
    for (const { kind, variant } of own) this.#kinds.set(kind.name, { kind, variant });
    try {
      if (this.#key() !== key) this.#plan();
    } catch (error) {
      this.#kinds.clear();
      for (const [name, kind] of before) this.#kinds.set(name, kind);
      throw error;
    }
    this.#interventions = stacked;
    if (this.#current) this.#setKnobs(this.#current.session);
  }

  /** Run `work` with extra taps and edits compiled in, then return to the session before. */
  async within<T>(overlay: Overlay, work: (session: HookedSession) => Promise<T>): Promise<T> {
    if (this.#overlay) {
      throw new AttuneError('OVERLAY_NESTED', {
        found: `${overlay.key} inside ${this.#overlay.key}`,
        hint: 'Finish one runWithCache or runWithHooks before starting the next.',
      });
    }
    const before = this.#current;
    this.#overlay = overlay;
    try {
      if (this.#resting?.key === this.#key()) {
        this.#current = this.#resting;
        this.#setKnobs(this.#resting.session);
      }
      const session = await this.start();
      return await work(session);
    } finally {
      this.#overlay = undefined;
      if (this.#current !== before) {
        if (this.#resting && this.#resting !== this.#current) await this.#resting.session.release();
        this.#resting = this.#current;
        this.#current = before;
        // `work` may have switched interventions.
        if (before) this.#setKnobs(before.session);
      }
    }
  }

  #key(): string {
    const padding = this.#correctsPadding ? 'padding' : '';
    const kinds = [...this.#kinds].map(([name, { variant = '' }]) => `${name} ${variant}`);
    return [kinds.join(), padding, this.#overlay?.key ?? ''].join('|');
  }

  /** An overlay listens to one session, which therefore cannot be exchanged when a padded batch comes. */
  get #correctsPadding(): boolean {
    return this.#options.padding && (this.#sawPadding || this.#overlay !== undefined);
  }

  #plan(): Plan {
    const { facts } = this.#options;
    const { model } = facts.file;
    const hasMask = model.graph.inputs.some(({ name }) => name === 'attention_mask');
    const kinds = [...this.#kinds.values()].sort(
      (a, b) => STAGES.indexOf(a.kind.stage) - STAGES.indexOf(b.kind.stage),
    );
    const plans = [
      ...(this.#correctsPadding ? [paddingPlan(facts.decoder, hasMask)] : []),
      ...kinds.map(({ kind, variant }) => kind.plan(facts, variant)),
    ];
    return {
      taps: this.#overlay?.taps ?? [],
      knobs: [...distinct(plans.flatMap((plan) => plan.knobs ?? [])), ...(this.#overlay?.knobs ?? [])],
      edits: [...once(plans.flatMap((plan) => plan.edits ?? [])), ...(this.#overlay?.edits ?? [])],
    };
  }

  get #edits(): boolean {
    const { facts } = this.#options;
    const kinds = [...this.#kinds.values()];
    const own = kinds.flatMap(({ kind, variant }) => kind.plan(facts, variant).edits ?? []);
    return own.length > 0 || (this.#overlay?.edits ?? []).length > 0;
  }

  /** The session for the present interventions, built if it has to be. */
  async start(): Promise<HookedSession> {
    if (this.#released)
      throw new AttuneError('SESSION_RELEASED', { hint: 'The model was disposed; load it again.' });
    const key = this.#key();
    if (this.#current?.key === key) return this.#current.session;
    const { facts, runtime, session: options } = this.#options;
    const ep = executionProviderOf(runtime, options.session);
    const edited = compile(facts.recognition, this.#plan(), { ...options.kernels, ep });
    const compiled = { ...edited, model: this.#finished(edited.model) };
    if (this.#current && !this.#overlay) await this.#current.session.release();
    const session = await startSession(facts.file, compiled, { ...options, runtime, states: this.#states });
    this.#current = { key, session, edited: this.#edits };
    this.#setKnobs(session);
    return session;
  }

  /** What stands in every graph, the untouched one too. */
  #finished(model: Model): Model {
    return this.#options.numLogitsToKeep ? withKeptLogits(model) : model;
  }

  #setKnobs(session: HookedSession): void {
    const { facts, tracker } = this.#options;
    session.resetKnobs();
    const plans = this.#interventions.map((one) => ({
      one,
      plan: one.kind.plan(facts, one.kind.variant?.(one)),
    }));
    const remembering = plans.filter(({ plan }) => remembers(plan));
    session.collectStates(
      remembering.length === 0
        ? undefined
        : {
            name: remembering.map(({ one }) => `${one.intervention} ${one.hash.slice(0, 8)}`).join(' and '),
            ownCache: remembering.some(({ plan }) => changesCache(plan)),
          },
    );
    for (const intervention of this.#interventions) {
      for (const [name, value] of Object.entries(intervention.kind.knobs(intervention, facts))) {
        if (session.knobNames.includes(name)) session.setKnob(name, value);
      }
    }
    session.feedKnobs((feeds) => this.#fed(tracker.state, feeds));
  }

  #fed(request: RequestState, feeds: Feeds): Record<string, KnobValue> {
    const { facts } = this.#options;
    const values = this.#interventions.map((one) => one.kind.feed?.(one, facts, request, feeds) ?? {});
    return Object.assign({}, ...values);
  }

  async run(feeds: Feeds, fetchesOrOptions?: object, options?: object): Promise<Record<string, OrtTensor>> {
    this.#sawPadding ||= isPadded(feeds);
    const session = await this.start();
    const request = this.#options.tracker.observeRun(feeds);
    this.#checkLength(feeds, request.past);
    const runner = this.#overlay?.runner;
    const own = this.#interventions.find(({ kind }) => kind.run !== undefined);
    if (!own && !runner) {
      const plain = () => session.run(feeds, fetchesOrOptions, options);
      const { untouchedRuns } = this.#options;
      const edited = this.#current?.edited ?? true;
      const untouched = request.past === 0 && !edited && !session.listening && !isPadded(feeds);
      return untouchedRuns && untouched ? untouchedRuns('decoder', feeds, plain) : plain();
    }
    if (!own) return runner!(session, feeds, fetchesOrOptions, options);
    if (runner) {
      throw new AttuneError('PASSES_NESTED', {
        found: `function hooks while ${own.intervention} runs passes of its own`,
        hint: 'Read with runWithCache, or hook without it.',
      });
    }
    const pass: Pass = async (given, { knobs, reports, request: taken = request } = {}) => {
      this.#sawPadding ||= isPadded(given);
      const feeder = (its: Feeds) => this.#fed(taken, its);
      const of = { feeder, ...(knobs && { knobs }), ...(reports && { reports }) };
      return (await this.start()).pass(given, of, fetchesOrOptions, options);
    };
    const called = await own.kind.run!(own, this.#options.facts, request, feeds, pass);
    for (const [name, report] of Object.entries(called.reports ?? {})) this.#reports.set(name, report);
    return called.outputs;
  }

  /** What interventions said of their last calls. */
  get reports(): ReadonlyMap<string, Report> {
    return this.#reports;
  }

  /** @throws AttuneError CONTEXT_EXCEEDED before anything runs */
  #checkLength(feeds: Feeds, past: number): void {
    const { config } = this.#options.facts;
    const text = (config.text_config ?? config) as { max_position_embeddings?: unknown };
    const limit = text.max_position_embeddings;
    const tokens = (feeds.input_ids ?? feeds.inputs_embeds)?.dims[1];
    if (typeof limit !== 'number' || tokens === undefined || past + tokens <= limit) return;
    throw new AttuneError('CONTEXT_EXCEEDED', {
      found: `${past + tokens} tokens`,
      expected: `at most ${limit}, the model's max_position_embeddings`,
      hint: 'Shorten the prompt, or generate fewer tokens.',
    });
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.#current?.session.release();
    if (this.#resting !== this.#current) await this.#resting?.session.release();
    this.#options.facts.file.close();
  }
}

/** Whether a kind leaves the graph as it is. */
export const isEmpty = ({ taps = [], knobs = [], edits = [] }: Plan): boolean =>
  taps.length + knobs.length + edits.length === 0;

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

/** Interventions in the order they act; one of each kind, no two that exclude each other. */
function stack(interventions: readonly Intervention[]): Intervention[] {
  const seen = new Map<string, Intervention>();
  for (const intervention of interventions) {
    const { name } = intervention.kind;
    if (seen.has(name)) {
      throw new AttuneError('INTERVENTION_TWICE', {
        found: `${name} given twice`,
        expected: 'at most one of each kind',
        hint: 'Combine the settings in one specification, for example a γ per layer and head.',
      });
    }
    for (const other of seen.keys()) {
      if (intervention.kind.run && seen.get(other)!.kind.run) {
        throw new AttuneError('INTERVENTION_CONFLICT', {
          found: `${other} with ${name}`,
          hint: 'Both run passes of their own around a call; use one of them at a time.',
        });
      }
      const reason = intervention.kind.conflicts?.[other] ?? seen.get(other)!.kind.conflicts?.[name];
      if (reason !== undefined) {
        throw new AttuneError('INTERVENTION_CONFLICT', { found: `${other} with ${name}`, hint: reason });
      }
    }
    const decoding = [...seen.values()].find((one) => one.kind.decoding?.(one));
    if (decoding && intervention.kind.decoding?.(intervention)) {
      throw new AttuneError('INTERVENTION_CONFLICT', {
        found: `${decoding.intervention} with ${name}`,
        hint: 'Each decides how tokens are chosen; use one at a time.',
      });
    }
    seen.set(name, intervention);
  }
  return [...interventions].sort((a, b) => STAGES.indexOf(a.kind.stage) - STAGES.indexOf(b.kind.stage));
}
