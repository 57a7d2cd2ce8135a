/** What attune adds to a transformers.js model object: switching interventions and looking inside. */
import { AttuneError } from '../../errors.ts';
import { selectNames } from '../../sites/points/index.ts';
import type { ChosenRuntime } from '../session/index.ts';
import { type Activation, activation } from './activation.ts';
import { fingerprint, type ModelFacts } from './facts.ts';
import { type HookFunction, runHooked } from './function-hooks.ts';
import type { Intervention } from './intervention.ts';
import type { LiveSession } from './live-session.ts';
import type { Report } from './report.ts';
import type { RequestState, RequestTracker } from './request.ts';

type Callable = (inputs: object) => Promise<Record<string, unknown>>;

export class AttunedModel {
  declare readonly attune: AttuneHandle;
  declare use: (interventions: readonly Intervention[]) => void;
  declare using: AttuneHandle['using'];
  declare runWithCache: AttuneHandle['runWithCache'];
  declare runWithHooks: AttuneHandle['runWithHooks'];
  /** Disposes the model, for `await using`. */
  declare [Symbol.asyncDispose]: () => Promise<void>;

  /** Give a model its handle and the short names of it. */
  static attach<M extends { dispose(): Promise<unknown> }>(
    model: M,
    live: LiveSession,
    facts: ModelFacts,
    tracker: RequestTracker,
    runtime: ChosenRuntime,
  ): M & AttunedModel {
    const handle = new AttuneHandle(model as unknown as Callable, live, facts, tracker, runtime);
    return Object.assign(model, {
      attune: handle,
      use: handle.use.bind(handle),
      using: handle.using.bind(handle),
      runWithCache: handle.runWithCache.bind(handle),
      runWithHooks: handle.runWithHooks.bind(handle),
      [Symbol.asyncDispose]: async () => {
        await model.dispose();
      },
    });
  }
}

export class AttuneHandle {
  readonly facts: ModelFacts;
  /** What runs the hooked session, and why: `{ name: 'native', reason: 'the addon is built and its library fits', … }`. */
  readonly runtime: ChosenRuntime;
  readonly #model: Callable;
  readonly #live: LiveSession;
  readonly #tracker: RequestTracker;
  #fingerprint: Promise<string> | undefined;

  constructor(
    model: Callable,
    live: LiveSession,
    facts: ModelFacts,
    tracker: RequestTracker,
    runtime: ChosenRuntime,
  ) {
    this.runtime = runtime;
    this.#model = model;
    this.#live = live;
    this.facts = facts;
    this.#tracker = tracker;
  }

  /** Interventions in force. */
  get interventions(): readonly Intervention[] {
    return this.#live.interventions;
  }

  /** The generation under way: step, cached tokens, image spans. */
  get request(): RequestState {
    return this.#tracker.state;
  }

  /** What interventions reported of their last calls, such as VHR's head scores: numbers and tables by name. */
  get reports(): ReadonlyMap<string, Report> {
    return this.#live.reports;
  }

  /** Names of the hook points that can be read. */
  get hookNames(): readonly string[] {
    return this.facts.points.filter(({ source }) => source.from !== 'nowhere').map(({ name }) => name);
  }

  /** SHA-256 that ties profiles to this model; see fingerprint(). */
  fingerprint(): Promise<string> {
    this.#fingerprint ??= fingerprint(this.facts.file);
    return this.#fingerprint;
  }

  /** Use these interventions, and no others, from now on. An empty list gives the untouched model. */
  use(interventions: readonly Intervention[]): void {
    this.#live.use(interventions);
  }

  /** Use interventions for the duration of `work` only. Runs on one model must not overlap. */
  async using<T>(interventions: readonly Intervention[], work: () => Promise<T>): Promise<T> {
    const before = this.#live.interventions;
    this.#live.use(interventions);
    try {
      return await work();
    } finally {
      this.#live.use(before);
    }
  }

  /**
   * Run the model once and return what flowed at the chosen hook points.
   *
   * @param inputs as for calling the model: input_ids, attention_mask, …
   * @param filter glob or globs over hook names, e.g. 'blocks.*.attn.hook_pattern'
   * @throws AttuneError HOOK_UNKNOWN with the nearest names
   */
  async runWithCache(
    inputs: object,
    filter: string | readonly string[] = '**',
  ): Promise<{ output: Record<string, unknown>; cache: ReadonlyMap<string, Activation> }> {
    const names = new Set(selectNames(filter, this.hookNames));
    const taps = this.facts.points.filter(({ name }) => names.has(name));
    const cache = new Map<string, Activation>();
    const output = await this.#live.within({ key: `taps ${[...names].join()}`, taps }, async (session) => {
      const stop = session.listen((values) => {
        for (const [name, tensor] of values) cache.set(name, activation(name, tensor, this.facts));
      });
      try {
        return await this.#model(inputs);
      } finally {
        stop();
      }
    });
    return { output, cache };
  }

  /**
   * Run `work` (one call or a whole generation) with hook points at hand that it may listen to: what flows there is fetched only
   * while someone listens.
   *
   * @param work gets `listen`, which takes a function of the values of a run, by name, and returns one that ends it
   * @throws AttuneError HOOK_UNKNOWN with the nearest names
   */
  async watch<T>(
    filter: string | readonly string[],
    work: (listen: (listener: (values: ReadonlyMap<string, Activation>) => void) => () => void) => Promise<T>,
  ): Promise<T> {
    const names = new Set(selectNames(filter, this.hookNames));
    const taps = this.facts.points.filter(({ name }) => names.has(name));
    return this.#live.within({ key: `taps ${[...names].join()}`, taps }, (session) =>
      work((listener) =>
        session.listen((values) =>
          listener(
            new Map([...values].map(([name, tensor]) => [name, activation(name, tensor, this.facts)])),
          ),
        ),
      ),
    );
  }

  /**
   * Run `work` (one call or a whole generation) with JavaScript functions at hook points. A function that returns a
   * tensor replaces the value; one that returns nothing only reads. See function-hooks.ts for how, and the cost.
   *
   * @param hooks [glob, function] pairs, in the order of the model for each run
   * @throws AttuneError HOOK_UNKNOWN, POINT_READ_ONLY, HOOK_SHAPE when a returned tensor has another shape
   */
  async runWithHooks<T>(
    hooks: readonly (readonly [filter: string | readonly string[], hook: HookFunction])[],
    work: () => Promise<T>,
  ): Promise<T> {
    if (hooks.length === 0) {
      throw new AttuneError('HOOKS_EMPTY', { expected: 'at least one [glob, function] pair' });
    }
    return runHooked(this.#live, this.facts, this.hookNames, hooks, work);
  }
}
