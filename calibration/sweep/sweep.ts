/**
 * Many settings over many items in few calls: settings are the rows of a batch over one item's tokens, what they share
 * is computed once (layers below the first one that any of them edits, prompts of several continuations), and what was
 * measured before is not measured again.
 */
import { AttuneError } from '../../errors.ts';
import { type Compiled, remembers } from '../../hooks/compile/index.ts';
import { type Intervention, type ModelFacts, variantKey } from '../../hooks/model/index.ts';
import { sha256 } from '../../onnx/sha256.ts';
import { identify } from '../model-identity.ts';
import { memoryJournal, type SweepJournal } from './journal.ts';
import { firstLayer } from './layers.ts';
import { type Measurement, measure } from './measure.ts';
import { passesOf, type Request, type Step } from './passes.ts';
import { compileFor, type SessionOptions, SweepSession } from './sweep-session.ts';

/** Requests that are measured together, such as the choices of one question. */
export interface SweepItem {
  /** For messages. */
  readonly id: string;
  /** One or more. */
  readonly requests: readonly Request[];
}

/** An intervention, or undefined for the baseline. */
export type SweepSetting = Intervention | undefined;

/** How many settings are measured over many items. */
export interface SweepOptions extends SessionOptions {
  /** Default: results are kept in memory. */
  readonly journal?: SweepJournal;
  /** Stops after the batch under way. */
  readonly signal?: AbortSignal;
  /** After each batch: measurements that have come since the last call, of those still to be made. */
  readonly onProgress?: (progress: { done: number; total: number; step: string }) => void;
  /** Tokens in a batch, all rows together; more amortise a call's overhead, fewer fit caches. Default 2,048. */
  readonly batchTokens?: number;
  /** Compute layers that settings share once; default true. */
  readonly cut?: boolean;
}

/** Raised when measuring changes, so that results of older versions are not taken for new ones. */
const VERSION = 1;
const BATCH_TOKENS = 2048;

/**
 * Measures many settings over many items in few calls: settings are rows of one batch, and what they share is
 * computed once.
 *
 * @example
 * ```ts
 * await using sweep = new Sweep(model.attune.facts);
 * const [baseline, tuned] = await sweep.run(items, [undefined, zeroTuning({ gamma: 1.4 })]);
 * ```
 */
export class Sweep implements AsyncDisposable {
  /** The model that is measured. */
  readonly facts: ModelFacts;
  readonly #options: SweepOptions;
  readonly #journal: SweepJournal;
  readonly #sessions = new Map<string, SweepSession>();
  readonly #graphs = new Map<string, Compiled>();
  #identity: Promise<string> | undefined;

  /** @param facts of the model (model.attune.facts) */
  constructor(facts: ModelFacts, options: SweepOptions = {}) {
    this.facts = facts;
    this.#options = options;
    this.#journal = options.journal ?? memoryJournal();
  }

  /**
   * Measures every item under every setting.
   *
   * @param step what progress is called
   * @returns measurements [setting][item]
   * @throws AttuneError SWEEP_INTERRUPTED, SWEEP_NEEDS_REQUEST, those of the journal and of the settings' own checks
   */
  async run(
    items: readonly SweepItem[],
    settings: readonly SweepSetting[],
    step = 'sweep',
  ): Promise<Measurement[][]> {
    const identity = await this.#identify();
    const { cut = true } = this.#options;
    const depth = this.facts.decoder.length;
    const hashes = items.map(({ requests }) => sha256(JSON.stringify(requests)));
    // The baseline's name in keys is what it was when the first journals were written.
    const key = (item: number, setting: SweepSetting) =>
      sha256(`${VERSION}/${identity}/${hashes[item]}/${setting?.hash ?? 'untouched'}`).slice(0, 32);
    const missing = (item: number, setting: SweepSetting) =>
      this.#journal.get(key(item, setting)) === undefined;
    // Items of equal content are one.
    const open = items.flatMap((_, i) =>
      settings.filter((setting) => missing(i, setting)).map((one) => key(i, one)),
    );
    const total = new Set(open).size;
    let done = 0;

    for (const { like, layer, members } of this.#groups(settings)) {
      const share = like === undefined || !remembers(like.kind.plan(this.facts, like.kind.variant?.(like)));
      for (const [i, { requests }] of items.entries()) {
        const steps = passesOf(requests, { share, layers: cut ? depth - layer : depth });
        for (const chunk of chunks(members, this.#rowsFor(steps))) {
          // Batches are the same in an interrupted run and in the one that goes on from it, and so are their numbers.
          const wanted = chunk.filter((setting) => missing(i, setting));
          if (wanted.length === 0) continue;
          if (this.#options.signal?.aborted) throw interrupted(done, total);
          const session = await this.#session(like, layer);
          const rows = wanted.filter((setting) => setting !== undefined);
          const results = await measure(session, steps, rows);
          this.#journal.append(wanted.map((setting, row) => [key(i, setting), results[row]!]));
          done += wanted.length;
          this.#options.onProgress?.({ done, total, step });
        }
      }
      await this.#close(like, layer);
    }
    return settings.map((setting) => items.map((_, i) => this.#journal.get(key(i, setting))!));
  }

  #identify(): Promise<string> {
    this.#identity ??= identify(this.facts).then((identity) => sha256(JSON.stringify(identity)));
    return this.#identity;
  }

  /** Settings that can be rows of one batch, each once: of one kind, one graph, and one first layer. */
  #groups(
    settings: readonly SweepSetting[],
  ): { like: SweepSetting; layer: number; members: SweepSetting[] }[] {
    const groups = new Map<
      string,
      { like: SweepSetting; layer: number; members: Map<string, SweepSetting> }
    >();
    for (const setting of settings) {
      const first = setting && firstLayer(setting, this.facts);
      // What is neutral everywhere can stand in any batch; below it nothing differs.
      const layer = first === undefined || first === this.facts.decoder.length ? 0 : first;
      const id = `${graphOf(setting)} ${layer}`;
      const group = groups.get(id) ?? { like: setting, layer, members: new Map<string, SweepSetting>() };
      group.members.set(setting?.hash ?? '', setting);
      groups.set(id, group);
    }
    return [...groups.values()].map((group) => ({ ...group, members: [...group.members.values()] }));
  }

  #rowsFor(steps: readonly Step[]): number {
    const longest = Math.max(...steps.map(({ ids }) => ids.length));
    return Math.max(1, Math.floor((this.#options.batchTokens ?? BATCH_TOKENS) / longest));
  }

  async #session(like: SweepSetting, layer: number): Promise<SweepSession> {
    const id = `${graphOf(like)} ${layer}`;
    const known = this.#sessions.get(id);
    if (known) return known;
    const { runtime, session, cut = true } = this.#options;
    const compiled = this.#graphs.get(graphOf(like)) ?? compileFor(this.facts, like);
    this.#graphs.set(graphOf(like), compiled);
    const fresh = await SweepSession.open(this.facts, like, {
      compiled,
      ...(runtime && { runtime }),
      ...(session && { session }),
      layer: cut ? layer : 0,
    });
    this.#sessions.set(id, fresh);
    return fresh;
  }

  /** Sessions of upper halves serve one group and go with it; whole graphs stay for the next run. */
  async #close(like: SweepSetting, layer: number): Promise<void> {
    const id = `${graphOf(like)} ${layer}`;
    const session = this.#sessions.get(id);
    if (!session?.cut) return;
    this.#sessions.delete(id);
    await session[Symbol.asyncDispose]();
  }

  /** Releases its sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions.values()) await session[Symbol.asyncDispose]();
    this.#sessions.clear();
  }
}

const graphOf = (setting: SweepSetting): string =>
  setting ? `${setting.intervention} ${variantKey(setting.kind.variant?.(setting))}` : 'baseline';

function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}

function interrupted(done: number, total: number): AttuneError {
  return new AttuneError('SWEEP_INTERRUPTED', {
    found: `${done} of ${total} measurements done and kept`,
    hint: 'Run the same command again to go on from there.',
  });
}
