/**
 * Two generations that take turns token by token, so that a pair of timings is a fraction of a second apart even
 * where a prompt takes many seconds. A lap is a whole step as a user waits for it: the session's run and the
 * library's JavaScript around it.
 */
import { type Sample, stopwatch } from './paired.ts';

/** Runs to its end, awaiting `step` before each of its steps. */
export type Player = (step: () => Promise<void>) => Promise<unknown>;

/** @returns the laps of each player, in order */
export async function lockstep(players: readonly [Player, Player]): Promise<[Sample[], Sample[]]> {
  const laps: [Sample[], Sample[]] = [[], []];
  const playing = [true, true];
  const waiting: ((() => void) | undefined)[] = [undefined, undefined];
  let running: { player: number; stop: () => Sample } | undefined;

  const finishLap = (player: number) => {
    if (running?.player !== player) return;
    laps[player]!.push(running.stop());
    running = undefined;
  };
  /** Start the next lap once every player that still plays has come to its step. */
  const handOver = (next: number) => {
    if (running || playing.some((plays, player) => plays && !waiting[player])) return;
    const player = waiting[next] ? next : 1 - next;
    const resume = waiting[player];
    if (!resume) return;
    waiting[player] = undefined;
    running = { player, stop: stopwatch() };
    resume();
  };
  const play = async (player: number) => {
    try {
      await players[player]!(() => {
        finishLap(player);
        return new Promise((resume) => {
          waiting[player] = resume;
          handOver(1 - player);
        });
      });
    } finally {
      finishLap(player);
      playing[player] = false;
      handOver(1 - player);
    }
  };
  for (const result of await Promise.allSettled([play(0), play(1)])) {
    if (result.status === 'rejected') throw result.reason;
  }
  return laps;
}
