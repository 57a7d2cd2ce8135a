/** What an edit may use of the graph around the site it acts on. */
import type { Emit } from '../../onnx/emitter.ts';
import type { HookPoint } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';
import type { Tables, Wanted } from './rotary-tables.ts';

/** What an edit is built with. */
export interface EditContext {
  /** Emits operators into the graph that the site is in. */
  readonly emit: Emit;
  /** [B, T] int64, 1 for real tokens: the graph's attention_mask; undefined where the model takes none. */
  readonly attentionMask: string | undefined;
  /** A graph input with axes [B, S, …]: token ids or embeddings of this call; undefined where there is neither. */
  readonly tokens: string | undefined;
  /** [B] int64, index of each row's first real token; zeros without an attention mask. */
  firstToken(): string;
  /** Emit something once per graph and share it between layers. */
  once<T extends string | readonly string[]>(key: string, make: () => T): T;
  /** The value at a hook point, in the point's normalised axes, as earlier edits left it. List it in `reads`. */
  read(point: HookPoint): string;
  /**
   * float32 [B, H, rows, T]: the pattern of a site in the last rows of the call, as edits left it; emitted by `emit`, which may be
   * that of a branch. For edits that come after all others.
   */
  lastRows(emit: Emit, site: Site, rows: string): string;
  /** What the call before left under this name, and how to leave something to the next: see Carried. */
  carry(name: string, width: number): Carried;
  /** Cosines and sines of positions 0, 1, … as the site's rotation has them: see rotaryTables. */
  rotary(site: Site, wanted: Wanted): Tables;
  /** Make a float32 value readable under a name, for passes that ask for it (InterventionKind.run). */
  report(name: string, value: string, rank: number): void;
}

/**
 * A float32 value that goes from call to call beside the cache. The plan must say that it `remembers`.
 * @throws AttuneError HOOK_IN_SUBGRAPH in a branch of an If, which nothing can leave
 */
export interface Carried {
  /** [B, width, P]; P is 0 at the start of a sequence. */
  readonly past: string;
  /** Must be called once. */
  keep(value: string): void;
}
