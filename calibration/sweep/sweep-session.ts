/**
 * A session for one kind of intervention in which every row of a batch is another setting of it, over the same tokens.
 * Letters: R settings, S new tokens, T = past + S, n wanted positions, V vocabulary.
 */
import { AttuneError } from '../../errors.ts';
import { type Compiled, compile } from '../../hooks/compile/index.ts';
import type { Intervention, ModelFacts } from '../../hooks/model/index.ts';
import {
  type Feeds,
  type HookedSession,
  loadRuntime,
  type OrtTensor,
  type Runtime,
  startSession,
} from '../../hooks/session/index.ts';
import { eachRow } from '../../interventions/index.ts';
import type { ValueInfo } from '../../onnx/index.ts';
import { cacheOnly, cutBefore } from './cut.ts';
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
  /** Positions of this call, of which logits are wanted. None: only the cache is filled, which costs a layer less. */
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

/** A session and the inputs that its graph declares. */
interface Part {
  readonly session: HookedSession;
  readonly inputs: readonly ValueInfo[];
}

interface Parts {
  /** From the cut, or the beginning, to the logits. */
  readonly branch: Part;
  /** Below the cut. */
  readonly trunk?: Part & { readonly carried: readonly string[] };
  /** The branch without its predictions; made when first needed. */
  fill(): Promise<Part>;
}

export interface OpenOptions extends SessionOptions {
  /** Settings will leave the layers below this one alone; they are then computed once for all rows. Default 0. */
  readonly layer?: number;
  /** What compileFor gave, where it was called already. */
  readonly compiled?: Compiled;
}

/**
 * The edited graph for settings of one kind, with logits at wanted positions.
 * @throws AttuneError SWEEP_NEEDS_REQUEST, LOGITS_MISSING, INTERVENTION_REFUSED
 */
export function compileFor(facts: ModelFacts, like: Intervention | undefined): Compiled {
  if (like?.kind.feed) {
    throw new AttuneError('SWEEP_NEEDS_REQUEST', {
      found: `${like.intervention}, whose numbers depend on each request`,
      expected: 'an intervention that its specification describes',
    });
  }
  const plan = like?.kind.plan(facts, like.kind.variant?.(like)) ?? {};
  return withWantedRows(compile(facts.recognition, plan));
}

export class SweepSession implements AsyncDisposable {
  readonly #facts: ModelFacts;
  readonly #runtime: Runtime;
  readonly #parts: Parts;
  #fill: Part | undefined;
  #settings: readonly Intervention[] = [];

  private constructor(facts: ModelFacts, runtime: Runtime, parts: Parts) {
    this.#facts = facts;
    this.#runtime = runtime;
    this.#parts = parts;
  }

  /**
   * @param like a setting of the kind that will be run; undefined for the baseline
   * @throws AttuneError SWEEP_NEEDS_REQUEST, INTERVENTION_REFUSED, SESSION_FAILED
   */
  static async open(
    facts: ModelFacts,
    like: Intervention | undefined,
    { layer = 0, compiled = compileFor(facts, like), runtime, session }: OpenOptions = {},
  ): Promise<SweepSession> {
    const cut = layer > 0 ? cutBefore(compiled, facts, layer) : undefined;
    const options = { runtime: runtime ?? (await loadRuntime()), ...(session && { session }) };
    const start = async (part: Compiled): Promise<Part> => ({
      session: await startSession(facts.file, part, options),
      inputs: part.model.graph.inputs,
    });
    const branch = cut?.branch ?? compiled;
    return new SweepSession(facts, options.runtime, {
      branch: await start(branch),
      ...(cut && { trunk: { ...(await start(cut.trunk)), carried: cut.carried } }),
      fill: () => start(cacheOnly(branch)),
    });
  }

  /** Whether layers below the first edited one are computed once for all rows. */
  get cut(): boolean {
    return this.#parts.trunk !== undefined;
  }

  get #rows(): number {
    return Math.max(1, this.#settings.length);
  }

  /**
   * The settings of the calls to come, one for each row; none: one row of the baseline.
   * @throws AttuneError ROWS_DIFFER, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, HEADS_MISMATCH
   */
  use(settings: readonly Intervention[]): void {
    this.#settings = settings;
    for (const part of [this.#parts.branch, this.#fill]) if (part) this.#set(part.session);
  }

  #set(session: HookedSession): void {
    session.resetKnobs();
    if (this.#settings.length === 0) return;
    const rows = eachRow(this.#settings);
    const names = session.knobNames;
    for (const [name, value] of Object.entries(rows.kind.knobs(rows, this.#facts))) {
      if (names.includes(name)) session.setKnob(name, value);
    }
  }

  async run({ ids, wanted, past, keep }: Call): Promise<Answer> {
    const pastLength = past?.length ?? 0;
    const below = await this.#below(ids, past, keep);
    const fill = wanted.length === 0;
    const part = fill ? await this.#filling() : this.#parts.branch;
    if (!fill) {
      part.session.setKnob(wantedRows.name, {
        dims: [wanted.length],
        data: BigInt64Array.from(wanted, BigInt),
      });
    }
    // Without knobs all rows are one.
    const rows = part.session.knobNames.length === 0 ? 1 : this.#rows;
    const feeds = decoderFeeds(
      this.#runtime,
      part,
      { ids, pastLength, rows },
      {
        ...this.#repeated(usedBy(part, past?.trunk ?? {}), rows),
        ...past?.branch,
        ...this.#repeated(below.carried, rows),
      },
    );
    const outputs = await part.session.run(feeds, fetched(part.session, keep, fill ? [] : ['logits']));
    const branch = keep ? this.#repeated(asPast(outputs), this.#rows / rows) : {};
    return {
      ...(fill ? { logits: new Float32Array(0), V: 0 } : logitsOf(outputs.logits!)),
      past: keep ? { length: pastLength + ids.length, trunk: below.past, branch } : undefined,
    };
  }

  /** What is below the cut, for the one row that stands for all. */
  async #below(
    ids: readonly number[],
    past: Past | undefined,
    keep: boolean,
  ): Promise<{ carried: Feeds; past: Feeds }> {
    const { trunk } = this.#parts;
    if (!trunk) return { carried: {}, past: {} };
    const tokens = { ids, pastLength: past?.length ?? 0, rows: 1 };
    const feeds = decoderFeeds(this.#runtime, trunk, tokens, past?.trunk);
    const outputs = await trunk.session.run(feeds, fetched(trunk.session, keep, trunk.carried));
    return {
      carried: Object.fromEntries(trunk.carried.map((name) => [name, outputs[name]!])),
      past: asPast(outputs),
    };
  }

  async #filling(): Promise<Part> {
    if (!this.#fill) {
      this.#fill = await this.#parts.fill();
      this.#set(this.#fill.session);
    }
    return this.#fill;
  }

  /** Each tensor [1, …] as [times, …]. */
  #repeated(tensors: Feeds, times: number): Feeds {
    if (times === 1) return tensors;
    const repeat = ({ type, dims, data }: OrtTensor): OrtTensor => {
      const one = data as Float32Array;
      const all = new (one.constructor as new (length: number) => Float32Array)(one.length * times);
      for (let row = 0; row < times; row++) all.set(one, row * one.length);
      return new this.#runtime.Tensor(type, all, [dims[0]! * times, ...dims.slice(1)]);
    };
    return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, repeat(tensor)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { branch, trunk } = this.#parts;
    for (const part of [branch, trunk, this.#fill]) await part?.session.release();
  }
}

/** Exports may read the length of the past off the first layer's cache, which is the trunk's. */
function usedBy({ inputs }: Part, tensors: Feeds): Feeds {
  return Object.fromEntries(
    inputs.flatMap(({ name }): [string, OrtTensor][] => (tensors[name] ? [[name, tensors[name]]] : [])),
  );
}

function logitsOf({ dims, data, type }: OrtTensor): Pick<Answer, 'logits' | 'V'> {
  if (data instanceof Float32Array) return { logits: data, V: dims.at(-1)! };
  throw new AttuneError('SWEEP_NO_LOGITS', {
    found: `logits in ${type}`,
    expected: 'float32',
    hint: 'Use an export whose logits are float32.',
  });
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
