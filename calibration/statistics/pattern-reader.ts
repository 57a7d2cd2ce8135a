/** Attention maps of all layers and heads for one sequence, and the logits at chosen positions. */
import { AttuneError } from '../../errors.ts';
import { compile } from '../../hooks/compile/index.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { type HookedSession, loadRuntime, type Runtime, startSession } from '../../hooks/session/index.ts';
import { decoderFeeds } from '../sweep/decoder-feeds.ts';
import type { SessionOptions } from '../sweep/sweep-session.ts';
import { wantedRows, withWantedRows } from '../sweep/wanted-rows.ts';

export interface Patterns {
  readonly T: number;
  /** One head's map, [T, T] row by row. */
  map(layer: number, head: number): Float32Array;
  /** [n, V] float32: logits at the wanted positions. */
  readonly logits: Float32Array;
}

export class PatternReader implements AsyncDisposable {
  readonly facts: ModelFacts;
  readonly #runtime: Runtime;
  readonly #session: HookedSession;
  readonly #names: readonly string[];

  private constructor(facts: ModelFacts, runtime: Runtime, session: HookedSession, names: readonly string[]) {
    this.facts = facts;
    this.#runtime = runtime;
    this.#session = session;
    this.#names = names;
  }

  /** @throws AttuneError POINT_UNAVAILABLE, LOGITS_MISSING, SESSION_FAILED */
  static async open(facts: ModelFacts, { runtime, session }: SessionOptions = {}): Promise<PatternReader> {
    const taps = facts.decoder.map((site) => {
      const point = facts.points.find((one) => one.kind === 'hook_pattern' && one.site === site);
      if (point && point.source.from !== 'nowhere') return point;
      throw new AttuneError('POINT_UNAVAILABLE', {
        at: `layer ${site.layer}`,
        found: point?.source.from === 'nowhere' ? point.source.reason : 'no attention pattern',
        expected: 'an attention pattern in every layer',
      });
    });
    const compiled = withWantedRows(compile(facts.recognition, { taps }));
    const chosen = runtime ?? (await loadRuntime());
    const started = await startSession(facts.file, compiled, {
      runtime: chosen,
      ...(session && { session }),
    });
    return new PatternReader(
      facts,
      chosen,
      started,
      taps.map(({ name }) => name),
    );
  }

  /** @param ids [T] @param wanted positions whose logits are read; default the last */
  async read(ids: readonly number[], wanted: readonly number[] = [ids.length - 1]): Promise<Patterns> {
    const T = ids.length;
    this.#session.setKnob(wantedRows.name, {
      dims: [wanted.length],
      data: BigInt64Array.from(wanted, BigInt),
    });
    const layers: Float32Array[] = [];
    const stop = this.#session.listen((taps) => {
      for (const name of this.#names) layers.push(taps.get(name)!.data as Float32Array);
    });
    try {
      const inputs = this.facts.file.model.graph.inputs;
      const feeds = decoderFeeds(
        this.#runtime,
        { session: this.#session, inputs },
        { ids, pastLength: 0, rows: 1 },
      );
      const { logits } = await this.#session.run(feeds, ['logits']);
      return {
        T,
        logits: logits!.data as Float32Array,
        map: (layer, head) => layers[layer]!.subarray(head * T * T, (head + 1) * T * T),
      };
    } finally {
      stop();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }
}
