/** What attune adds to a transformers.js model object: interventions for a request, a view or from now on, and looking inside. */
import type { Tensor } from '@huggingface/transformers';
import { AttuneError } from '../../errors.ts';
import type { ChosenRuntime } from '../session/index.ts';
import { type Activation, ActivationCache } from './activation.ts';
import { activations, type Listen, listenTo, ModelCall, type ModelParts, viewOf } from './call.ts';
import type { SearchModel } from './decoding/decoding.ts';
import { fingerprint, type ModelFacts } from './facts.ts';
import { type HookFunction, hookNames, hooksOverlay, tapsOverlay } from './function-hooks.ts';
import { InsideWork } from './inside-work.ts';
import type { GivenInterventions, Intervention } from './intervention.ts';
import { kindOf } from './kind-of.ts';
import type { Overlay } from './live-graph.ts';
import type { LiveSession } from './live-session.ts';
import type { Report } from './report.ts';
import type { RequestState, Work } from './request.ts';
import { CallScope, type ViewScope } from './scope.ts';
import { sessionsOf } from './scoped-sessions.ts';
import { Stack } from './stack.ts';

/**
 * What a model with attune behind it has beside its own. Its calls and `generate` take `interventions` among their options, for
 * that request alone:
 *
 * @example
 * ```ts
 * const output = await model.generate({ ...inputs, max_new_tokens: 8, interventions: [zeroTuning({ gamma: 1.4 })] });
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 */
export interface AttunedModel {
  /** What is known of the model and of its last call. */
  readonly attune: AttuneHandle;

  /**
   * Interventions for all calls from now on that bring none of their own; an empty list gives the untouched model. Calls under way
   * go on with what they began with.
   *
   * @example model.use([zeroTuning({ gamma: 1.4 })]);
   * @throws AttuneError INTERVENTION_TWICE, INTERVENTION_CONFLICT, INTERVENTION_REFUSED, what compiling refuses, and those of the
   *   kinds' own parameter checks; what was in force stays in force then
   */
  use(interventions: GivenInterventions): void;

  /**
   * A view of the model under other interventions: the same weights and sessions, and a model in every other respect. Views and
   * the model may run at the same time. There is nothing to dispose of a view.
   *
   * @example const calm = model.with([zeroTuning({ gamma: 0.7 })]);
   * @throws AttuneError as `use`
   */
  with(interventions: GivenInterventions): this;

  /**
   * Run `work` under interventions. It is given a view of the model to call; calls on the model itself from inside `work` count as
   * calls on that view. Several may be under way at once.
   *
   * @example await model.using([headScale({ scale: 2 })], (model) => model.generate({ ...inputs, max_new_tokens: 8 }));
   * @throws AttuneError as `use`; WORK_UNCLEAR in browsers for a call on the model itself
   */
  using<T>(interventions: GivenInterventions, work: (model: this) => Promise<T>): Promise<T>;

  /**
   * As transformers.js's `generate`, with `interventions` for this request alone: in place of those in force, an empty list for the
   * untouched model.
   *
   * @example const output = await model.generate({ ...inputs, max_new_tokens: 8, interventions: [zeroTuning({ gamma: 1.4 })] });
   * @param options input_ids int64 [B, S] and further inputs, options of transformers.js, interventions
   * @returns token ids, int64 [B, S + new]
   * @throws AttuneError as `use`, and what the kinds refuse of a request
   */
  generate(options: GenerateOptions): Promise<Tensor>;

  /**
   * Run the model once and return what flowed at the chosen hook points, as tensors of your transformers.js with `name` and `axes`.
   *
   * @example const { cache } = await model.runWithCache(inputs, 'blocks.*.attn.hook_pattern');
   * @param inputs as for calling the model: input_ids, attention_mask, …
   * @param filter glob or globs over hook names; default all
   * @returns what the model returned, and a map by hook name of float32 tensors, such as hook_pattern [B, H, S, T]
   * @throws AttuneError HOOK_UNKNOWN with the nearest names
   */
  runWithCache(
    inputs: object,
    filter?: string | readonly string[],
  ): Promise<{ output: Record<string, unknown>; cache: ActivationCache }>;

  /**
   * Generate and return what flowed at the chosen hook points in every run: that of the prompt, then one for each token that was
   * fed back.
   *
   * @example const { output, steps } = await model.generateWithCache({ ...inputs, max_new_tokens: 8 }, '**.hook_z');
   * @param options as for `generate`
   * @param filter glob or globs over hook names; default all
   * @returns the tokens, [B, S + new], and a map for each run: [B, …, S, …] first, then one new token at a time
   * @throws AttuneError HOOK_UNKNOWN with the nearest names
   */
  generateWithCache(
    options: object,
    filter?: string | readonly string[],
  ): Promise<{ output: Tensor; steps: readonly ActivationCache[] }>;

  /**
   * Run `work` (one call or a whole generation) with JavaScript functions at hook points. A function that returns an array replaces
   * the value; one that returns nothing only reads. Each point that is written costs a pass more. `work` is given a view of the
   * model to call, as with `using`.
   *
   * @example await model.runWithHooks([['blocks.3.attn.hook_z', ({ data }) => data.map(() => 0)]], (model) => model(inputs));
   * @param hooks [glob, function] pairs, in the order of the model for each run
   * @throws AttuneError HOOK_UNKNOWN, HOOKS_EMPTY, POINT_READ_ONLY, HOOK_SHAPE when what is returned has another size
   */
  runWithHooks<T>(
    hooks: readonly (readonly [filter: string | readonly string[], hook: HookFunction])[],
    work: (model: this) => Promise<T>,
  ): Promise<T>;

  /** Disposes the model, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Inputs and options of `generate`, with attune's own. */
export interface GenerateOptions {
  /** For this request alone, in place of those in force. */
  readonly interventions?: GivenInterventions | undefined;
  /** Where true, transformers.js answers with more than tokens. */
  readonly return_dict_in_generate?: false | undefined;
  /** Inputs of the model and options of transformers.js. */
  readonly [option: string]: unknown;
}

type Attuned = object & AttunedModel;
type Inputs = Readonly<Record<string, unknown>>;

/** A model as one scope sees it. */
class View {
  readonly #parts: ModelParts;
  readonly #scope: ViewScope;
  readonly #inside = new InsideWork<View>();
  /** The object that is called. */
  readonly target: Attuned;

  constructor(parts: ModelParts, scope: ViewScope, isModel: boolean) {
    this.#parts = parts;
    this.#scope = scope;
    const own = this.#properties(isModel);
    this.target = (isModel ? Object.assign(parts.model, own) : viewOf(parts.model, own)) as Attuned;
  }

  #properties(isModel: boolean): object {
    const { native, sessions, model, facts, runtime } = this.#parts;
    const handle = new AttuneHandle(
      facts,
      runtime,
      sessions.live,
      () => this.#here().#scope,
      (overlay) => this.#here().#watched(overlay),
    );
    const nothing = async () => {};
    return {
      sessions: sessionsOf(sessions, this.#scope),
      attune: handle,
      forward: async (inputs: Inputs) =>
        this.#here().#call(inputs, false, (call, given) => call.forward(given)),
      ...(native.generate && {
        generate: async (options: Inputs) =>
          this.#here().#call(options, true, (call, given) => call.generate(given)),
      }),
      use: (interventions: GivenInterventions) => this.#here().#use(interventions),
      with: (interventions: GivenInterventions) => {
        const scope = this.#here().#scope.apart(this.#stack(interventions));
        return new View(this.#parts, scope, false).target;
      },
      using: async <T>(interventions: GivenInterventions, work: (model: Attuned) => Promise<T>) => {
        const scope = this.#here().#scope.within(this.#stack(interventions));
        const view = new View(this.#parts, scope, false);
        return this.#inside.run(view, async () => work(view.target));
      },
      runWithCache: async (inputs: object, filter: string | readonly string[] = '**') =>
        this.#here().#read(inputs, filter),
      ...(native.generate && {
        generateWithCache: async (options: Inputs, filter: string | readonly string[] = '**') =>
          this.#here().#generateAndRead(options, filter),
      }),
      runWithHooks: async <T>(
        hooks: Parameters<AttunedModel['runWithHooks']>[0],
        work: (model: Attuned) => Promise<T>,
      ) => {
        if (hooks.length === 0) {
          throw new AttuneError('HOOKS_EMPTY', { expected: 'at least one [glob, function] pair' });
        }
        const scope = this.#here().#scope.withOverlay(hooksOverlay(facts, hooks));
        const view = new View(this.#parts, scope, false);
        return this.#inside.run(view, async () => work(view.target));
      },
      // What views run on is the model's.
      ...(isModel ? {} : { dispose: nothing }),
      [Symbol.asyncDispose]: isModel
        ? async () => {
            await (model as { dispose(): Promise<unknown> }).dispose();
          }
        : nothing,
    };
  }

  /** The view that a call on this one's object means, inside the function of `using`. */
  #here(): View {
    return this.#inside.current() ?? this;
  }

  /** Checked, what compiling them refuses included. */
  #stack(interventions: GivenInterventions): Stack {
    const stack = new Stack(interventions, this.#parts.facts);
    this.#parts.sessions.live.check(stack);
    return stack;
  }

  #use(interventions: GivenInterventions): void {
    this.#scope.stack = this.#stack(interventions);
  }

  async #call<T>(
    inputs: Inputs,
    generating: boolean,
    run: (call: ModelCall, inputs: Inputs) => Promise<T>,
  ): Promise<T> {
    refuseOtherInputs(inputs);
    const { interventions, ...given } = (inputs ?? {}) as Inputs & {
      interventions?: GivenInterventions;
    };
    const stack = interventions === undefined ? undefined : new Stack(interventions, this.#parts.facts);
    const call = new ModelCall(this.#parts, CallScope.on(this.#scope, generating, stack));
    try {
      return await run(call, given);
    } finally {
      call.end();
    }
  }

  #watched(overlay: Overlay): SearchModel {
    return new View(this.#parts, this.#scope.withOverlay(overlay), false).target as unknown as SearchModel;
  }

  async #read(inputs: object, filter: string | readonly string[]) {
    type Model = (inputs: object) => Promise<Record<string, unknown>>;
    const { output, runs } = await this.#reading(filter, (model) => (model as unknown as Model)(inputs));
    return { output, cache: ActivationCache.of(runs.flat(), output) };
  }

  async #generateAndRead(options: object, filter: string | readonly string[]) {
    type Model = { generate(options: object): Promise<unknown> };
    const { output, runs } = await this.#reading(filter, (model) =>
      (model as unknown as Model).generate(options),
    );
    return { output, steps: runs.map((run) => ActivationCache.of(run, output)) };
  }

  /** What flowed in each run of `work`. */
  async #reading<T>(filter: string | readonly string[], work: (model: Attuned) => Promise<T>) {
    const { facts } = this.#parts;
    const overlay = tapsOverlay(facts, filter);
    const runs: Activation[][] = [];
    overlay.listeners.add((values) => void runs.push([...activations(values, facts).values()]));
    const view = new View(this.#parts, this.#scope.withOverlay(overlay), false);
    return { output: await work(view.target), runs };
  }
}

/** @throws AttuneError ARGUMENT_INVALID for what is no object of inputs */
function refuseOtherInputs(inputs: unknown): void {
  if (inputs === undefined || inputs === null) return;
  const isTensor = typeof inputs === 'object' && 'dims' in inputs;
  if (typeof inputs === 'object' && !Array.isArray(inputs) && !isTensor) return;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: 'a call of the model',
    found: isTensor ? 'a tensor' : kindOf(inputs),
    expected: 'an object of inputs: input_ids, attention_mask, …',
    hint: "Give what the tokenizer returns: model(tokenizer('text')), model.generate({ ...tokenizer('text'), max_new_tokens: 20 }).",
  });
}

/** What is known of a model and of the last call on it. */
export class AttuneHandle {
  /** Graph, sites, hook points and configuration. */
  readonly facts: ModelFacts;
  /** What runs the hooked session, and why: `{ name: 'native', reason: 'the addon is built and its library fits', … }`. */
  readonly runtime: ChosenRuntime;
  readonly #scope: () => ViewScope;
  readonly #live: LiveSession;
  readonly #watched: (overlay: Overlay) => SearchModel;
  #fingerprint: Promise<string> | undefined;

  constructor(
    facts: ModelFacts,
    runtime: ChosenRuntime,
    live: LiveSession,
    scope: () => ViewScope,
    watched: (overlay: Overlay) => SearchModel,
  ) {
    this.facts = facts;
    this.runtime = runtime;
    this.#live = live;
    this.#scope = scope;
    this.#watched = watched;
  }

  /**
   * Run `work` (one call or a whole generation) with hook points at hand that it may listen to: what flows there is fetched only
   * while someone listens.
   *
   * @param work gets `listen`, which takes a function of the values of a run, by name, and returns one that ends it; and a view of
   *   the model, on whose runs it listens
   * @throws AttuneError HOOK_UNKNOWN with the nearest names
   */
  async watch<T>(
    filter: string | readonly string[],
    work: (listen: Listen, model: SearchModel) => Promise<T>,
  ): Promise<T> {
    const overlay = tapsOverlay(this.facts, filter);
    return work(listenTo(overlay, this.facts), this.#watched(overlay));
  }

  /** Sessions of ONNX Runtime held for the decoder: two at most that nothing runs on, and those of the calls under way. */
  get sessions(): number {
    return this.#live.sessions;
  }

  /** Interventions in force for calls that bring none of their own. */
  get interventions(): readonly Intervention[] {
    return this.#scope().stack.interventions;
  }

  /** What the last call ran, or that under way so far: passes, positions, time. */
  get work(): Work {
    return this.#scope().tracker.work;
  }

  /** The last call's request, or that under way: step, cached tokens, image spans. */
  get request(): RequestState {
    return this.#scope().tracker.state;
  }

  /** What interventions reported of their last calls, such as VHR's head scores: numbers and tables by name. */
  get reports(): ReadonlyMap<string, Report> {
    return this.#scope().reports;
  }

  /** Names of the hook points that can be read. */
  get hookNames(): readonly string[] {
    return hookNames(this.facts.points);
  }

  /** SHA-256 that ties profiles to this model; see fingerprint(). */
  fingerprint(): Promise<string> {
    this.#fingerprint ??= fingerprint(this.facts.file);
    return this.#fingerprint;
  }
}

/** Give a model its handle and methods; its own `forward` and `generate` go through attune from then on. */
export function attachTo<M extends object>(
  parts: ModelParts & { readonly model: M },
  scope: ViewScope,
): M & AttunedModel {
  return new View(parts, scope, true).target as M & AttunedModel;
}
