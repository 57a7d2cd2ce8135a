import { expect, test } from 'vitest';
import { progress } from './progress.ts';

function record(isTTY: boolean, done = 0) {
  let time = 0;
  const written: string[] = [];
  const bar = progress({
    label: 'm t',
    total: 10,
    done,
    now: () => time,
    stream: { isTTY, write: (text) => written.push(text) },
  });
  return {
    written,
    bar,
    wait: (ms: number) => {
      time += ms;
    },
  };
}

test('the time left follows the pace of this process, not the steps of an earlier one', () => {
  const { written, bar, wait } = record(false, 6);
  wait(30_000);
  bar.step('acc 0.500');
  expect(written).toEqual(['m t: 7/10, 1 min 30 s left, acc 0.500\n']);
});

test('a log gets a line every ten seconds and one at the end', () => {
  const { written, bar, wait } = record(false);
  for (let i = 0; i < 10; i++) {
    wait(2_500);
    bar.step();
  }
  expect(written).toEqual(['m t: 4/10, 15 s left\n', 'm t: 8/10, 5 s left\n', 'm t: 10/10, 0 s left\n']);
});

test('a terminal line is rewritten and taken away at the end', () => {
  const { written, bar, wait } = record(true);
  wait(3_600_000);
  bar.step();
  bar.end();
  expect(written).toEqual(['\r\x1b[Km t: 1/10, 9 h 0 min left', '\r\x1b[K']);
});

test('the time of what comes after is told beside it, at the same pace', () => {
  let time = 0;
  const written: string[] = [];
  const stream = { isTTY: false, write: (text: string) => written.push(text) };
  const bar = progress({ label: 'm t', total: 10, later: 50, now: () => time, stream });
  time = 20_000;
  bar.step('acc 0.500');
  expect(written).toEqual(['m t: 1/10, 3 min 0 s left, 19 min 40 s left of all, acc 0.500\n']);
});
