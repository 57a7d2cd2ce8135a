/**
 * The sessions behind a live model. A session is built when a run needs a graph that none has, it is lent while runs are on it,
 * and it goes when nothing is on it and another can do all it can. What cannot be built leaves everything as it was.
 */
import { AttuneError } from '../../errors.ts';
import type { HookedSession } from '../session/index.ts';
import type { LiveGraph } from './live-graph.ts';

/** Makes sessions; throws what compiling and starting throw. */
export interface SessionMaker {
  start(graph: LiveGraph): Promise<HookedSession>;
}

/** A session on loan. */
export interface Lease {
  readonly graph: LiveGraph;
  readonly session: HookedSession;
  end(): void;
}

interface Entry {
  readonly graph: LiveGraph;
  readonly session: HookedSession;
  leases: number;
  lastUse: number;
}

interface Waiting {
  readonly wish: LiveGraph;
  readonly resolve: (lease: Lease) => void;
  readonly reject: (error: unknown) => void;
}

/** Sessions that stay though nothing is on them and another graph was used since: without and with an overlay. */
const IDLE = { plain: 2, overlay: 1 } as const;

export class SessionPool {
  readonly #maker: SessionMaker;
  #entries: Entry[] = [];
  #waiting: Waiting[] = [];
  #building = false;
  #clock = 0;
  #released = false;
  /** Sessions on their way out. */
  readonly #ending = new Set<Promise<void>>();

  constructor(maker: SessionMaker) {
    this.#maker = maker;
  }

  /** Sessions that are held, for tests and for those who watch memory. */
  get size(): number {
    return this.#entries.length;
  }

  /** Whether a session is there that serves the wish. */
  has(wish: LiveGraph): boolean {
    return this.#find(wish) !== undefined;
  }

  /** The graph of the session without an overlay that was used last; undefined before the first is built. */
  get latest(): LiveGraph | undefined {
    const plain = this.#entries.filter(({ graph }) => graph.overlay === undefined);
    return plain.sort((a, b) => a.lastUse - b.lastUse).at(-1)?.graph;
  }

  /**
   * A session for a run, built if it has to be; the borrower ends the lease.
   * @throws AttuneError SESSION_RELEASED, and those of compiling and starting a session
   */
  acquire(wish: LiveGraph): Promise<Lease> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ wish, resolve, reject });
      void this.#serve();
    });
  }

  /** One session is built at a time: those who wait for the same graph get the same session. */
  async #serve(): Promise<void> {
    this.#lend();
    if (this.#building) return;
    this.#building = true;
    try {
      for (;;) {
        // Who asks in the same moment is served by one session.
        await Promise.resolve();
        this.#lend();
        const [next] = this.#waiting;
        if (!next) return;
        await this.#build(next);
      }
    } finally {
      this.#building = false;
    }
  }

  /** Whoever can be served is. */
  #lend(): void {
    this.#waiting = this.#waiting.filter(({ wish, resolve, reject }) => {
      if (this.#released) {
        reject(new AttuneError('SESSION_RELEASED', { hint: 'The model was disposed; load it again.' }));
        return false;
      }
      const entry = this.#find(wish);
      if (entry) resolve(this.#lease(entry));
      return entry === undefined;
    });
  }

  async #build(next: Waiting): Promise<void> {
    let failure: unknown;
    for (const graph of this.candidates(next.wish)) {
      try {
        const session = await this.#maker.start(graph);
        this.#entries.push({ graph, session, leases: 0, lastUse: ++this.#clock });
        this.#lend();
        this.#trim();
        return;
      } catch (error) {
        failure = error;
      }
    }
    this.#waiting = this.#waiting.filter((one) => one !== next);
    next.reject(failure);
  }

  /** Graphs to try: one that serves the others who wait and what was compiled in before, else what was asked for alone. */
  candidates(wish: LiveGraph): LiveGraph[] {
    const others = this.#waiting.filter(({ wish: other }) => other.overlay === undefined);
    const together = wish.overlay
      ? wish
      : others.reduce((graph, other) => (sharable(graph, other.wish) ? graph.with(other.wish) : graph), wish);
    const grown = this.latest ? together.with(this.latest) : together;
    const distinct = new Map([grown, wish].map((graph) => [graph.key, graph]));
    return [...distinct.values()];
  }

  /** The one used last of those that serve the wish. */
  #find(wish: LiveGraph): Entry | undefined {
    return this.#entries.filter(({ graph }) => graph.serves(wish)).sort((a, b) => b.lastUse - a.lastUse)[0];
  }

  #lease(entry: Entry): Lease {
    entry.leases++;
    entry.lastUse = ++this.#clock;
    let ended = false;
    return {
      graph: entry.graph,
      session: entry.session,
      end: () => {
        if (ended) return;
        ended = true;
        entry.leases--;
        this.#trim();
      },
    };
  }

  /** Let go of what nobody is on: what another serves as well, and what is too much to keep. */
  #trim(): void {
    if (this.#released) return;
    const idle = this.#entries.filter(({ leases }) => leases === 0);
    for (const one of idle) {
      const better = this.#entries.some((other) => other !== one && other.graph.serves(one.graph));
      if (better) this.#drop(one);
    }
    for (const [overlay, most] of [
      [false, IDLE.plain],
      [true, IDLE.overlay],
    ] as const) {
      const kept = this.#entries
        .filter(({ graph, leases }) => leases === 0 && (graph.overlay !== undefined) === overlay)
        .sort((a, b) => b.lastUse - a.lastUse);
      for (const one of kept.slice(most)) this.#drop(one);
    }
  }

  #drop(entry: Entry): void {
    this.#entries = this.#entries.filter((one) => one !== entry);
    const end: Promise<void> = entry.session
      .release()
      // A session that does not go is no fault of who uses another.
      .catch(() => undefined)
      .finally(() => this.#ending.delete(end));
    this.#ending.add(end);
  }

  /** Runs under way end; no other begins. */
  async release(): Promise<void> {
    this.#released = true;
    this.#lend();
    for (const entry of this.#entries) this.#drop(entry);
    while (this.#ending.size > 0) await Promise.all(this.#ending);
  }
}

/** Whether two wishes may be served by one graph without either losing what it asked for. */
const sharable = (a: LiveGraph, b: LiveGraph): boolean => {
  const both = a.with(b);
  return both.serves(a) && both.serves(b);
};
