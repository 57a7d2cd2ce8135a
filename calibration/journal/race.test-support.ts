/**
 * A process that races for a lock: race <lock> <log> <owners in all>. Whoever holds the lock marks a file that one alone may
 * have, and writes a line. Every other owner leaves its lock behind under a process id that does not exist.
 */
import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAttuneError } from '../../errors.ts';
import { takeLock } from './lock.ts';
import { lifeOf, readOwner, thisProcess } from './owner.ts';

const [lock, log, all] = process.argv.slice(2) as [string, string, string];
const mark = `${lock}-mark`;
const owners = () => readFileSync(log, 'utf8').split('\n').length - 1;

for (let turn = 0; owners() < Number(all); turn++) {
  let unlock: () => void;
  try {
    unlock = takeLock(lock);
  } catch (error) {
    if (isAttuneError(error) && error.code === 'JOURNAL_LOCKED') continue;
    throw error;
  }
  refuseSecond();
  const leaves = turn % 2 === 1;
  appendFileSync(log, `${process.pid} ${leaves ? 'leaves it' : 'lets go'}\n`);
  rmSync(mark);
  if (leaves) abandon();
  else unlock();
}

/** A mark of a process that runs is a second owner; one of a killed process is what it left. */
function refuseSecond(): void {
  try {
    writeFileSync(mark, JSON.stringify(thisProcess()), { flag: 'wx' });
  } catch {
    const other = readOwner(read(mark) ?? '');
    if (!other || lifeOf(other) === 'running')
      appendFileSync(log, `two owners: ${process.pid} and ${other?.pid}\n`);
    writeFileSync(mark, JSON.stringify(thisProcess()));
  }
}

function abandon(): void {
  const own = readOwner(read(lock)!)!;
  const dead = `${lock}-dead-${process.pid}`;
  writeFileSync(dead, JSON.stringify({ ...own, token: thisProcess().token, pid: 999_999_999 }));
  renameSync(dead, lock);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
