import { expect, test } from 'vitest';
import { lockstep, type Player } from './lockstep.ts';

/** Logs its steps; each takes some turns of the event loop, as a session run does. */
function walker(name: string, steps: number, log: string[]): Player {
  return async (step) => {
    for (let i = 0; i < steps; i++) {
      await step();
      log.push(`${name}${i}`);
      for (let tick = 0; tick < 3 + i; tick++) await new Promise(setImmediate);
      log.push(`/${name}${i}`);
    }
  };
}

test('steps alternate and never overlap', async () => {
  const log: string[] = [];
  const [a, b] = await lockstep([walker('a', 3, log), walker('b', 3, log)]);
  expect(log.join(' ')).toBe('a0 /a0 b0 /b0 a1 /a1 b1 /b1 a2 /a2 b2 /b2');
  expect([a.length, b.length]).toEqual([3, 3]);
});

test('the longer one goes on alone', async () => {
  const log: string[] = [];
  const [a, b] = await lockstep([walker('a', 1, log), walker('b', 4, log)]);
  expect(log.join(' ')).toBe('a0 /a0 b0 /b0 b1 /b1 b2 /b2 b3 /b3');
  expect([a.length, b.length]).toEqual([1, 4]);
});

test('a player that fails does not stall the other, and its error comes out', async () => {
  const log: string[] = [];
  const failing: Player = async (step) => {
    await step();
    throw new RangeError('out of memory');
  };
  await expect(lockstep([failing, walker('b', 2, log)])).rejects.toThrow('out of memory');
  expect(log.join(' ')).toBe('b0 /b0 b1 /b1');
});
