/**
 * A session for one kind of intervention in which every row of a batch is another setting of it, over the same tokens.
 * Letters: R settings, S new tokens, T = past + S, n wanted positions, V vocabulary.
 */
import { AttuneError } from '../../errors.ts';
import { type Compiled, compile } from '../../hooks/compile/index.ts';
import type { Intervention, ModelFacts } from '../../hooks/model/index.ts';
import type { ValueInfo } from '../../hooks/onnx/index.ts';
import {
  type Feeds,
  type HookedSession,
  loadRuntime,
  type OrtTensor,
  type Runtime,
  startSession,
} from '../../hooks/session/index.ts';
import { eachRow } from '../../interventions/index.ts';
import { type Cut, cutBefore } from './cut.ts';
import { decoderFeeds } from './decoder-feeds.ts';
import { wantedRows, withWantedRows } from './wanted-rows.ts';

export interface SessionOptions {
  /** Default: the installed runtime. */
  readonly runtime?: Runtime;
  /** Passed to InferenceSession.create. */
  readonly session?: Readonly<Record<string, unknown>>;
}

/** What a call leaves for the next: tensors by the name of the input that takes them. */
export interface Past {
  readonly length: number;
  readonly trunk: Feeds;
  readonly branch: Feeds;
}

export interface Call {
  /** [S], the same for every row. */
  readonly ids: readonly number[];
  /** Positions of this call, of which logits are wanted. */
  readonly wanted: readonly number[];
  readonly past?: Past | undefined;
  /** Whether another call will go on from this one. */
  readonly keep: boolean;
}

export interface Answer {
  /** [R, n, V] float32. */
  readonly logits: Float32Array;
  readonly V: number;
  readonly past: Past | undefined;
}

export class SweepSession implements AsyncDisposable {
  readonly #facts: ModelFacts;
  readonly #runtime: Runtime;
  readonly #branch: HookedSession;
  readonly #branchInputs: readonly ValueInfo[];
  readonly #trunk:
    | { session: HookedSession; inputs: readonly ValueInfo[]; carried: readonly string[] }
    | undefined;
  #rows = 1;

  private constructor(
    facts: ModelFacts,
    runtime: Runtime,
    branch: { session: HookedSession; compiled: Compiled },
    trunk: { session: HookedSession; cut: Cut } | undefined,
  ) {
    this.#facts = facts;
    this.#runtime = runtime;
    this.#branch = branch.session;
    this.#branchInputs = branch.compiled.model.graph.inputs;
    this.#trunk = trunk && {
      session: trunk.session,
      inputs: trunk.cut.trunk.model.graph.inputs,
      carried: trunk.cut.carried,
    };
  }

  /**
   * @param like a setting of the kind that will be run; undefined for the untouched model
   * @param layer settings will leave the layers below this one alone; they are then computed once for all rows
   * @throws AttuneError SWEEP_NEEDS_REQUEST, INTERVENTION_REFUSED, SESSION_FAILED
   */
  static async open(
    facts: ModelFacts,
    like: Intervention | undefined,
    { layer = 0, runtime, session }: SessionOptions & { readonly layer?: number } = {},
  ): Promise<SweepSession> {
    if (like?.kind.feed) {
      throw new AttuneError('SWEEP_NEEDS_REQUEST', {
        found: `${like.intervention}, whose numbers depend on each request`,
        expected: 'an intervention that its specification describes',
      });
    }
    const plan = like?.kind.plan(facts, like.kind.variant?.(like)) ?? {};
    const compiled = withWantedRows(compile(facts.recognition, plan));
    const cut = layer > 0 ? cutBefore(compiled, facts, layer) : undefined;
    const options = { runtime: runtime ?? (await loadRuntime()), ...(session && { session }) };
    const start = (part: Compiled) => startSession(facts.file, part, options);
    if (!cut) {
      const branch = { session: await start(compiled), compiled };
      return new SweepSession(facts, options.runtime, branch, undefined);
    }
    const trunk = { session: await start(cut.trunk), cut };
    const branch = { session: await start(cut.branch), compiled: cut.branch };
    return new SweepSession(facts, options.runtime, branch, trunk);
  }

  /** Whether layers below the first edited one are computed once for all rows. */
  get cut(): boolean {
    return this.#trunk !== undefined;
  }

  /**
   * The settings of the calls to come, one for each row; none: one row of the untouched model.
   * @throws AttuneError ROWS_DIFFER, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, HEADS_MISMATCH
   */
  use(settings: readonly Intervention[]): void {
    this.#rows = Math.max(1, settings.length);
    this.#branch.resetKnobs();
    if (settings.length === 0) return;
    const rows = eachRow(settings);
    const names = this.#branch.knobNames;
    for (const [name, value] of Object.entries(rows.kind.knobs(rows, this.#facts))) {
      if (names.includes(name)) this.#branch.setKnob(name, value);
    }
  }

  async run({ ids, wanted, past, keep }: Call): Promise<Answer> {
    const pastLength = past?.length ?? 0;
    const context = { ids, pastLength };
    const trunk = this.#trunk;
    let carried: Feeds = {};
    let trunkPast: Feeds = {};
    if (trunk) {
      const feeds = decoderFeeds(this.#runtime, trunk, { ...context, rows: 1 }, past?.trunk);
      const outputs = await trunk.session.run(feeds, fetched(trunk.session, keep, trunk.carried));
      carried = Object.fromEntries(trunk.carried.map((name) => [name, this.#repeated(outputs[name]!)]));
      trunkPast = asPast(outputs);
    }
    const rows = this.#rows;
    this.#branch.setKnob(wantedRows.name, {
      dims: [wanted.length],
      data: BigInt64Array.from(wanted, BigInt),
    });
    const feeds = decoderFeeds(
      this.#runtime,
      { session: this.#branch, inputs: this.#branchInputs },
      { ...context, rows },
      { ...past?.branch, ...carried },
    );
    const outputs = await this.#branch.run(feeds, fetched(this.#branch, keep, ['logits']));
    const { dims, data, type } = outputs.logits!;
    if (!(data instanceof Float32Array)) {
      throw new AttuneError('SWEEP_NO_LOGITS', {
        found: `logits in ${type}`,
        expected: 'float32',
        hint: 'Use an export whose logits are float32.',
      });
    }
    return {
      logits: data,
      V: dims.at(-1)!,
      past: keep ? { length: pastLength + ids.length, trunk: trunkPast, branch: asPast(outputs) } : undefined,
    };
  }

  /** [1, S, M] → [R, S, M] */
  #repeated({ type, dims, data }: OrtTensor): OrtTensor {
    const one = data as Float32Array;
    const all = new (one.constructor as new (length: number) => Float32Array)(one.length * this.#rows);
    for (let row = 0; row < this.#rows; row++) all.set(one, row * one.length);
    return new this.#runtime.Tensor(type, all, [this.#rows, ...dims.slice(1)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#branch.release();
    await this.#trunk?.session.release();
  }
}

/** The outputs to fetch: a cache that nobody goes on from is not copied out. */
function fetched(session: HookedSession, keep: boolean, always: readonly string[]): string[] {
  return [...always, ...(keep ? session.outputNames.filter((name) => name.startsWith('present')) : [])];
}

/** Outputs present… as the inputs past… of the next call, by the naming of Hub exports. */
function asPast(outputs: Readonly<Record<string, OrtTensor>>): Feeds {
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([name]) => name.startsWith('present'))
      .map(([name, tensor]) => [
        name.startsWith('present_')
          ? name.replace('present', 'past')
          : name.replace('present', 'past_key_values'),
        tensor,
      ]),
  );
}
