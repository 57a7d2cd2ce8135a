/**
 * Loading a transformers.js model without making its sessions. transformers.js finds, downloads and caches the files, reads the
 * configurations and builds the model object; at the place of each session stands what it would have been made from. So a graph
 * is read once, already edited, instead of being loaded, thrown away and loaded again.
 *
 * Calls of InferenceSession.create are told apart by a mark in their options, which only we set: others pass through.
 */
import type { OrtSession, Runtime } from '../session/index.ts';

/** What a session would be made from. */
export class PendingSession {
  /** What transformers.js keeps on a session: { dtype, device }. */
  config: { dtype?: string; device?: string } | undefined;
  /** Path (Node), or the bytes of the graph. */
  readonly source: string | Uint8Array;
  /** Options for InferenceSession.create, the providers for the device among them. */
  readonly options: Readonly<Record<string, unknown>>;

  constructor(source: string | Uint8Array, options: Readonly<Record<string, unknown>>) {
    this.source = source;
    this.options = options;
  }

  /** transformers.js releases the sessions of a model that is disposed. */
  async release(): Promise<void> {}
}

const MARK = Symbol('attune: leave this session to us');

type Create = Runtime['InferenceSession']['create'];
const active = new WeakMap<object, { create: Create; ours: Create; calls: number }>();

/**
 * @param load loads with the session options it is given; sessions made from them are PendingSession
 * @param options of InferenceSession.create for all sessions
 */
export async function withPendingSessions<T>(
  { InferenceSession }: Runtime,
  options: Readonly<Record<string, unknown>> | undefined,
  load: (marked: object) => Promise<T>,
): Promise<T> {
  divert(InferenceSession);
  try {
    return await load({ ...options, [MARK]: true });
  } finally {
    restore(InferenceSession);
  }
}

function divert(owner: { create: Create }): void {
  const diverted = active.get(owner);
  if (diverted) {
    diverted.calls++;
    return;
  }
  const { create } = owner;
  const ours: Create = async (model, options = {}) => {
    if (!(MARK in options)) return create.call(owner, model, options);
    const { [MARK]: _, ...rest } = options as Record<PropertyKey, unknown>;
    return new PendingSession(model, rest) as unknown as OrtSession;
  };
  owner.create = ours;
  active.set(owner, { create, ours, calls: 1 });
}

function restore(owner: { create: Create }): void {
  const diverted = active.get(owner)!;
  if (--diverted.calls > 0) return;
  active.delete(owner);
  // Whoever replaced it meanwhile keeps it; ours lets every call without the mark through.
  if (owner.create === diverted.ours) owner.create = diverted.create;
}
