/**
 * The decoder behind a transformers.js model: runs of any number of requests, each under interventions of its own, on sessions
 * that are built when a kind of intervention is used that no session has (session-pool.ts).
 */
import { AttuneError } from '../../errors.ts';
import type { Model } from '../../onnx/index.ts';
import { type Compiled, compile, withKeptLogits } from '../compile/index.ts';
import {
  executionProviderOf,
  type Feeds,
  type HookedSession,
  isPadded,
  kernelsOf,
  type OrtTensor,
  ortVersion,
  type PassResults,
  type RunSettings,
  type Runtime,
  type SessionOptions,
  StateStore,
  startSession,
} from '../session/index.ts';
import type { CacheNote } from './cache-note.ts';
import type { ModelFacts } from './facts.ts';
import type { FileIdentity } from './file-identity.ts';
import type { InterventionKind, Pass } from './intervention.ts';
import { LiveGraph, memoryOf } from './live-graph.ts';
import type { RequestState } from './request.ts';
import { CallScope, type Scope } from './scope.ts';
import { SessionPool } from './session-pool.ts';
import { isEmpty, type PlacedKind, placedKind, type Stack } from './stack.ts';

export interface LiveOptions {
  readonly facts: ModelFacts;
  readonly runtime: Runtime;
  readonly session: SessionOptions;
  /** Kinds compiled in from the start. */
  readonly prepare: readonly InterventionKind[];
  /** Correct left padding on GQA exports. */
  readonly padding: boolean;
  /** The files as they were when the model was loaded; undefined where it is not from files. */
  readonly identity?: FileIdentity | undefined;
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

/** The rest of the arguments of InferenceSession.run: fetches, options. */
type Rest = readonly (object | undefined)[];

export class LiveSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  config: unknown;
  readonly #options: LiveOptions;
  readonly #prepared: readonly PlacedKind[];
  readonly #states = new StateStore();
  readonly #pool: SessionPool;
  /** Knob tensors of a stack on a session. */
  readonly #knobs = new WeakMap<HookedSession, WeakMap<Stack, RunSettings['knobs']>>();
  /** The newest graph that was compiled and not started. */
  #compiled: { readonly key: string; readonly compiled: Compiled } | undefined;
  #released: Promise<void> | undefined;
  #metadata: Pick<HookedSession, 'inputMetadata' | 'outputMetadata'> | undefined;

  constructor(options: LiveOptions) {
    this.#options = options;
    const { file } = options.facts;
    const weights = new Set(file.model.graph.initializers.map(({ name }) => name));
    const { inputs } = this.#finished(file.model).graph;
    this.inputNames = inputs.map(({ name }) => name).filter((name) => !weights.has(name));
    this.outputNames = file.model.graph.outputs.map(({ name }) => name);
    const kinds = new Map(options.prepare.map((kind) => [kind.name, kind]));
    this.#prepared = [...kinds.values()]
      .map((kind) => placedKind(kind, kind.variant?.(undefined), options.facts))
      .filter(({ plan }) => !isEmpty(plan));
    this.#pool = new SessionPool({ start: (graph) => this.#start(graph) });
  }

  get inputMetadata() {
    return this.#started().inputMetadata;
  }

  get outputMetadata() {
    return this.#started().outputMetadata;
  }

  /** Sessions of ONNX Runtime that are held. */
  get sessions(): number {
    return this.#pool.size;
  }

  #started() {
    if (this.#metadata) return this.#metadata;
    throw new AttuneError('SESSION_NOT_STARTED', { hint: 'Await start() first.' });
  }

  /** Build the first session: what is prepared, and what `stack` needs. */
  async start(stack: Stack): Promise<void> {
    const prepared = new LiveGraph(this.#prepared, false, undefined);
    const graph = this.#wish(stack, false, undefined).with(prepared);
    (await this.#pool.acquire(graph)).end();
  }

  /**
   * What a run under these would be refused for, before any runs.
   * @throws AttuneError SESSION_RELEASED, and what compiling them throws
   */
  check(stack: Stack): void {
    if (this.#released) {
      throw new AttuneError('SESSION_RELEASED', {
        found: 'a model that was disposed of',
        hint: 'Load it again.',
      });
    }
    const wish = this.#wish(stack, false, undefined);
    if (this.#pool.has(wish)) return;
    let failure: unknown;
    for (const graph of this.#pool.candidates(wish)) {
      try {
        this.#compile(graph);
        return;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Prepared kinds that remember share their graph with each other, whichever of them is in force. */
  #wish({ placed }: Stack, padded: boolean, overlay: Scope['overlay']): LiveGraph {
    const wish = new LiveGraph(placed, this.#options.padding && padded, overlay);
    const keys = new Set(this.#prepared.map(({ key }) => key));
    const remembering = placed.filter(({ remembers }) => remembers);
    if (remembering.length === 0 || !remembering.every(({ key }) => keys.has(key))) return wish;
    const own = new Set(placed.map(({ kind }) => kind.name));
    const more = this.#prepared.filter(({ kind, remembers }) => remembers && !own.has(kind.name));
    const all = [...placed, ...more];
    return memoryOf(all) === wish.memory ? wish : new LiveGraph(all, wish.padding, overlay);
  }

  #compile(graph: LiveGraph): Compiled {
    if (this.#compiled?.key === graph.key) return this.#compiled.compiled;
    const { facts, runtime, session: options } = this.#options;
    const ep = executionProviderOf(runtime, options.session);
    const target = { ep, onnxruntime: ortVersion(runtime), operators: kernelsOf(runtime) };
    const edited = compile(facts.recognition, graph.plan(facts), { ...options.kernels, ...target });
    const compiled = { ...edited, model: this.#finished(edited.model) };
    this.#compiled = { key: graph.key, compiled };
    return compiled;
  }

  async #start(graph: LiveGraph): Promise<HookedSession> {
    const { facts, runtime, session: options, identity } = this.#options;
    await identity?.check();
    const compiled = this.#compile(graph);
    this.#compiled = undefined;
    const session = await startSession(facts.file, compiled, { ...options, runtime, states: this.#states });
    this.#metadata ??= { inputMetadata: session.inputMetadata, outputMetadata: session.outputMetadata };
    return session;
  }

  /** What stands in every graph, the untouched one too. */
  #finished(model: Model): Model {
    return this.#options.numLogitsToKeep ? withKeptLogits(model) : model;
  }

  /** Run `work` on a session that serves the scope. A call keeps its session until it ends. */
  async #on<T>(
    scope: Scope,
    feeds: Feeds,
    work: (session: HookedSession, graph: LiveGraph) => Promise<T>,
  ): Promise<T> {
    const wish = this.#wish(scope.stack, isPadded(feeds), scope.overlay);
    const held = scope instanceof CallScope ? scope.held(wish) : undefined;
    const lease = held ?? (await this.#pool.acquire(wish));
    if (!held && scope instanceof CallScope) scope.hold(lease);
    try {
      return await work(lease.session, lease.graph);
    } finally {
      if (!(scope instanceof CallScope)) lease.end();
    }
  }

  #settings(session: HookedSession, { stack, overlay }: Scope, request: RequestState): RunSettings {
    const ofSession = this.#knobs.get(session) ?? new WeakMap<Stack, RunSettings['knobs']>();
    this.#knobs.set(session, ofSession);
    const knobs = ofSession.get(stack) ?? session.knobTensors(stack.knobs);
    ofSession.set(stack, knobs);
    const feeder = (feeds: Feeds) => stack.feed(request, feeds);
    return { knobs, feeder, states: stack.states, listeners: overlay?.listeners };
  }

  /**
   * A run of `scope`.
   * @throws AttuneError CONTEXT_EXCEEDED, PASSES_NESTED, STATE_MISMATCH before anything runs; those of building a session and of the run
   */
  async run(scope: Scope, feeds: Feeds, ...rest: Rest): Promise<Record<string, OrtTensor>> {
    const request = scope.tracker.observeRun(feeds);
    scope.stack.checkCache(request.cache);
    this.#checkLength(feeds, request.cache?.position ?? request.past);
    const { outputs, cache } = scope.stack.runner
      ? await this.#ownRun(scope, feeds, request, rest)
      : { outputs: await this.#outputs(scope, feeds, request, rest) };
    scope.tracker.remember(outputs, request, cache);
    return outputs;
  }

  async #outputs(
    scope: Scope,
    feeds: Feeds,
    request: RequestState,
    rest: Rest,
  ): Promise<Record<string, OrtTensor>> {
    const { overlay } = scope;
    if (overlay?.runner) return this.#hookedRun(scope, feeds, request, rest);
    return this.#on(scope, feeds, async (session, graph) => {
      const settings = this.#settings(session, scope, request);
      const plain = async () => (await session.pass(feeds, { settings }, ...rest)).outputs;
      const { untouchedRuns } = this.#options;
      const listening = (overlay?.listeners.size ?? 0) > 0;
      const untouched = request.past === 0 && !graph.edits && !listening && !isPadded(feeds);
      return untouchedRuns && untouched ? untouchedRuns('decoder', feeds, plain) : plain();
    });
  }

  /** An intervention that runs passes of its own. */
  async #ownRun(
    scope: Scope,
    feeds: Feeds,
    request: RequestState,
    rest: Rest,
  ): Promise<{ outputs: Record<string, OrtTensor>; cache?: CacheNote | undefined }> {
    const own = scope.stack.runner!;
    if (scope.overlay?.runner) {
      throw new AttuneError('PASSES_NESTED', {
        found: `function hooks while ${own.intervention} runs passes of its own`,
        hint: 'Read with runWithCache, or hook without it.',
      });
    }
    const pass: Pass = (given, { knobs, reports, request: taken = request } = {}) =>
      this.#on(scope, given, (session): Promise<PassResults> => {
        const settings = this.#settings(session, scope, taken);
        return session.pass(
          given,
          { settings, ...(knobs && { knobs }), ...(reports && { reports }) },
          ...rest,
        );
      });
    const called = await own.kind.run!(own, this.#options.facts, request, feeds, pass);
    for (const [name, report] of Object.entries(called.reports ?? {})) scope.reports.set(name, report);
    return called;
  }

  /** Function hooks, which may take several passes. */
  #hookedRun(
    scope: Scope,
    feeds: Feeds,
    request: RequestState,
    rest: Rest,
  ): Promise<Record<string, OrtTensor>> {
    return scope.overlay!.runner!(feeds, (given, knobs, listener) =>
      this.#on(scope, given, async (session) => {
        const own = this.#settings(session, scope, request);
        const settings = { ...own, listeners: new Set([listener]) };
        return (await session.pass(given, { settings, knobs }, ...rest)).outputs;
      }),
    );
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

  /** Runs under way end first. */
  release(): Promise<void> {
    this.#released ??= this.#pool.release().then(() => this.#options.facts.file.close());
    return this.#released;
  }
}
