/** Which session a run gets, when one is built and when one goes, with sessions that only count. */
import { describe, expect, test } from 'vitest';
import { AttuneError } from '../../errors.ts';
import type { HookedSession } from '../session/index.ts';
import type { InterventionKind } from './intervention.ts';
import { LiveGraph, type Overlay } from './live-graph.ts';
import { SessionPool } from './session-pool.ts';
import type { PlacedKind } from './stack.ts';

const kind = (name: string, remembers = false): PlacedKind => ({
  kind: { name, stage: 'logits' } as InterventionKind,
  plan: {},
  key: name,
  remembers,
});
const [tuning, scale, act, pine] = [kind('tuning'), kind('scale'), kind('act', true), kind('pine', true)];
const graph = (...kinds: PlacedKind[]) => new LiveGraph(kinds, false, undefined);
const padded = (...kinds: PlacedKind[]) => new LiveGraph(kinds, true, undefined);
const overlay = (key: string): Overlay => ({ key, taps: [], listeners: new Set() });

/** Builds sessions by the key of their graph, and keeps count. */
function counting(refuse: (graph: LiveGraph) => boolean = () => false) {
  const built: string[] = [];
  const released: string[] = [];
  const pool = new SessionPool({
    start: async (wanted) => {
      await Promise.resolve();
      if (refuse(wanted)) throw new AttuneError('SESSION_FAILED', { found: wanted.key });
      built.push(wanted.key);
      return { release: async () => void released.push(wanted.key) } as unknown as HookedSession;
    },
  });
  return { pool, built, released };
}

describe('a session is built once', () => {
  test('for a graph that none serves; what needs less runs on it', async () => {
    const { pool, built } = counting();
    (await pool.acquire(graph(tuning, scale))).end();
    for (const wish of [graph(), graph(tuning), graph(scale)]) (await pool.acquire(wish)).end();
    expect(built).toEqual(['scale,tuning||']);
  });

  test('for all who wait for it at the same time, whatever of them can share', async () => {
    const { pool, built } = counting();
    const wishes = [graph(tuning), graph(), graph(act), graph(scale), graph(tuning)];
    const leases = await Promise.all(wishes.map((wish) => pool.acquire(wish)));
    expect(built).toEqual(['act,scale,tuning||']);
    expect(new Set(leases.map(({ session }) => session)).size).toBe(1);
  });

  test('and kinds that remember stay among themselves', async () => {
    const { pool, built } = counting();
    await Promise.all([graph(act), graph(pine), graph(tuning)].map((wish) => pool.acquire(wish)));
    expect(built).toEqual(['act,tuning||', 'pine,tuning||']);
    // What ACT left in a cache of the first graph is not found in one that PINE shares.
    expect(graph(act, pine).serves(graph(act))).toBe(false);
    expect(graph(act, tuning).serves(graph(act))).toBe(true);
  });
});

describe('a session goes', () => {
  test('when another does all it can, but not while a run is on it', async () => {
    const { pool, released } = counting();
    const first = await pool.acquire(graph());
    (await pool.acquire(graph(tuning))).end();
    expect(released).toEqual([]);
    first.end();
    first.end();
    expect(released).toEqual(['||']);
    expect(pool.size).toBe(1);
  });

  test('with the first padded batch, for its likeness with the correction', async () => {
    const { pool, built, released } = counting();
    (await pool.acquire(graph(tuning))).end();
    (await pool.acquire(padded())).end();
    expect(built).toEqual(['tuning||', 'tuning|padding|']);
    expect(released).toEqual(['tuning||']);
  });

  test('when it is one too many to keep', async () => {
    const { pool, released } = counting();
    for (const each of [act, pine, kind('vhr', true)]) (await pool.acquire(graph(each))).end();
    expect(released).toEqual(['act||']);
    for (const key of ['a', 'b', 'c']) {
      (await pool.acquire(new LiveGraph([], false, overlay(key)))).end();
    }
    // Hooks are added to what is compiled in.
    expect(released).toEqual(['act||', 'vhr||a', 'vhr||b']);
    await pool.release();
    expect(released).toHaveLength(6);
    expect(pool.size).toBe(0);
  });
});

describe('what cannot be built', () => {
  test('leaves the sessions there are, and those who wait for others are served', async () => {
    const { pool, built } = counting(({ key }) => key.includes('scale'));
    const good = await pool.acquire(graph(tuning));
    const [refused, other] = await Promise.allSettled([pool.acquire(graph(scale)), pool.acquire(graph(act))]);
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'SESSION_FAILED' } });
    expect(other.status).toBe('fulfilled');
    expect((await pool.acquire(graph(tuning))).graph.key).toContain('tuning');
    expect(good.graph.key).toBe('tuning||');
    expect(built).toEqual(['tuning||', 'act,tuning||']);
  });

  test('together is built alone', async () => {
    const { pool, built } = counting(({ kinds }) => kinds.length > 1);
    (await pool.acquire(graph(tuning))).end();
    (await pool.acquire(graph(scale))).end();
    expect(built).toEqual(['tuning||', 'scale||']);
  });

  test('after the release is a typed error', async () => {
    const { pool } = counting();
    await pool.release();
    await expect(pool.acquire(graph())).rejects.toThrow('SESSION_RELEASED');
  });
});
