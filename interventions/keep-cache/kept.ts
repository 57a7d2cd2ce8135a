/**
 * What a cache keeps, beside its tensors. Letters: B rows, N keys in the cache, T tokens of the sequence so far. Groups are what
 * shares one choice: [layers | 1, B, kv heads | 1].
 */
import type { CacheNote, Intervention, KeptKeys } from '../../hooks/model/index.ts';

/** Layers and kv heads that choose by themselves. */
export interface Groups {
  readonly layers: number;
  readonly heads: number;
  /** K of the model. */
  readonly kvHeads: number;
}

/** Of each group, slots of the cache that stay, in the order in which they stay: [groups][N']. */
export type Choice = readonly Int32Array[];

/** Copied as bytes, so that a token behind many costs no more. */
function joined(row: Uint8Array, more: Uint8Array): Uint8Array {
  const all = new Uint8Array(row.length + more.length);
  all.set(row);
  all.set(more, row.length);
  return all;
}

export class Kept implements CacheNote {
  readonly madeBy: string;
  readonly hash: string;
  readonly tokens: number;
  /** Kept keys are numbered anew. */
  readonly renumbered: boolean;
  readonly B: number;
  readonly groups: Groups;
  /** Keys that were chosen when some went last, by column; those of later tokens follow them. */
  readonly #chosen: readonly Int32Array[];
  /** Column of the first of those later tokens. */
  readonly #since: number;
  /** [B][T]: 1 for real tokens. */
  readonly real: readonly Uint8Array[];
  /** Position of the next token by row, where the model is given positions. */
  readonly next: readonly number[];
  /** Position of the first real token: some models count from 1. */
  readonly start: number;
  /** Attention that keys have got so far, [layers × B × kv heads][N]; empty where the score does not ask. */
  readonly mass: readonly Float32Array[];

  constructor(parts: {
    readonly of: Pick<Intervention, 'intervention' | 'hash'>;
    readonly renumbered: boolean;
    readonly groups: Groups;
    readonly chosen: readonly Int32Array[];
    readonly since: number;
    readonly real: readonly Uint8Array[];
    readonly next: readonly number[];
    readonly start: number;
    readonly mass: readonly Float32Array[];
  }) {
    this.madeBy = parts.of.intervention;
    this.hash = parts.of.hash;
    this.tokens = parts.real[0]!.length;
    this.renumbered = parts.renumbered;
    this.B = parts.real.length;
    this.groups = parts.groups;
    this.#chosen = parts.chosen;
    this.#since = parts.since;
    this.real = parts.real;
    this.next = parts.next;
    this.start = parts.start;
    this.mass = parts.mass;
  }

  /** N */
  get held(): number {
    return this.#chosen[0]!.length + this.tokens - this.#since;
  }

  get position(): number {
    return this.renumbered ? this.held : this.tokens;
  }

  group(layer: number, row: number, head: number): number {
    const { layers, heads } = this.groups;
    return ((layers === 1 ? 0 : layer) * this.B + row) * heads + (heads === 1 ? 0 : head);
  }

  get groupNumbers(): readonly number[] {
    return this.#chosen.map((_, group) => group);
  }

  rowOf(group: number): number {
    return Math.floor(group / this.groups.heads) % this.B;
  }

  /** [N]: columns of the keys of a group. */
  columns(group: number): Int32Array {
    const chosen = this.#chosen[group]!;
    const all = new Int32Array(this.held);
    all.set(chosen);
    for (let n = chosen.length; n < all.length; n++) all[n] = this.#since + n - chosen.length;
    return all;
  }

  /** [N] of a row: 0 at keys of padding. The same in all groups, since padding is the first to go. */
  mask(row: number): Uint8Array {
    const real = this.real[row]!;
    return Uint8Array.from(this.columns(row * this.groups.heads), (column) => real[column]!);
  }

  /** After a call: the keys of its tokens come behind. */
  extended(
    real: readonly Uint8Array[],
    next: readonly number[],
    { start, mass }: Pick<Kept, 'start' | 'mass'>,
  ): Kept {
    const tokens = this.real.map((row, b) => joined(row, real[b]!));
    return new Kept({ ...this.#parts, real: tokens, next, start, mass });
  }

  /** After keys went. @param withMass keep what those that stay have got */
  reduced(choice: Choice, next: readonly number[], withMass: boolean): Kept {
    const chosen = choice.map((slots, group) => {
      const columns = this.columns(group);
      return slots.map((slot) => columns[slot]!);
    });
    const K = this.groups.kvHeads;
    const mass = (withMass ? this.mass : []).map((all, i) => {
      const group = this.group(Math.floor(i / K / this.B), Math.floor(i / K) % this.B, i % K);
      return Float32Array.from(choice[group]!, (slot) => all[slot]!);
    });
    return new Kept({ ...this.#parts, chosen, since: this.tokens, next, mass });
  }

  get #parts() {
    return {
      of: { intervention: this.madeBy, hash: this.hash },
      renumbered: this.renumbered,
      groups: this.groups,
      chosen: this.#chosen,
      since: this.#since,
      real: this.real,
      next: this.next,
      start: this.start,
      mass: this.mass,
    };
  }

  get kept(): KeptKeys {
    const groups = this.#chosen.map((_, group) => this.columns(group));
    const { layers, heads } = this.groups;
    return {
      dims: [layers, this.B, heads, this.held],
      columns: Int32Array.from(groups.flatMap((columns) => [...columns])),
    };
  }
}
