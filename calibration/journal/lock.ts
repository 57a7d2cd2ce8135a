/**
 * A lock file that one process holds at a time, and that is taken over when its holder is gone.
 *
 * A lock comes into being whole: it is written under another name and linked, and of many links to one name one succeeds. A
 * lock that was left behind is not removed to be taken, since who removes it may remove the one that another has just put in its
 * place. Its successor is a file of its own, named after the token of the one who is gone, which again one alone can link;
 * who holds the lock is the last of such a chain. The new holder shortens the chain to one file.
 */
import { AttuneError } from '../../errors.ts';
import { nodeModule } from '../../onnx/node.ts';
import { lifeOf, type Owner, readOwner, thisProcess } from './owner.ts';

const fs = () => nodeModule('node:fs');
const paths = () => nodeModule('node:path');

/** A file of the chain, and who wrote it. */
interface Holder {
  file: string;
  owner: Owner;
}

/**
 * @param path of the lock file
 * @returns lets go of it
 * @throws AttuneError JOURNAL_LOCKED; errors of the file system
 */
export function takeLock(path: string): () => void {
  const own = thisProcess();
  const draft = `${path}.${own.token}`;
  fs().writeFileSync(draft, `${JSON.stringify(own)}\n`, { flag: 'wx' });
  try {
    for (;;) {
      const last = lastHolder(path);
      if (last) refuseLiving(last, path);
      const file = last ? successorOf(path, last.owner) : path;
      if (!linked(draft, file)) continue;
      // The chain may have been shortened meanwhile, and the one who is gone with it.
      if (lastHolder(path)?.owner.token !== own.token) {
        fs().rmSync(file, { force: true });
        continue;
      }
      if (file !== path) fs().renameSync(file, path);
      tidy(path, own);
      return () => release(path, own);
    }
  } finally {
    fs().rmSync(draft, { force: true });
  }
}

const successorOf = (path: string, { token }: Owner): string => `${path}.after-${token}`;

function lastHolder(path: string): Holder | undefined {
  let last: Holder | undefined;
  for (let file = path; ; file = successorOf(path, last.owner)) {
    const text = textOf(file);
    if (text === undefined) return last;
    // What no process has written whole is nobody's.
    const owner = readOwner(text) ?? { pid: 0, token: 'unreadable' };
    last = { file, owner };
  }
}

/** Removes what those left who are gone: links after a lock that is no more, drafts of processes that were killed. */
function tidy(path: string, own: Owner): void {
  const prefix = `${paths().basename(path)}.`;
  for (const name of fs().readdirSync(paths().dirname(path))) {
    if (!name.startsWith(prefix) || name.endsWith(own.token)) continue;
    const file = paths().join(paths().dirname(path), name);
    const owner = readOwner(textOf(file) ?? '');
    const left = name.startsWith(`${prefix}after-`) || (owner !== undefined && lifeOf(owner) === 'gone');
    if (left) fs().rmSync(file, { force: true });
  }
}

function release(path: string, { token }: Owner): void {
  const held = textOf(path);
  if (held !== undefined && readOwner(held)?.token === token) fs().rmSync(path, { force: true });
}

/** @throws AttuneError JOURNAL_LOCKED */
function refuseLiving({ owner }: Holder, path: string): void {
  const life = owner.pid === 0 ? 'gone' : lifeOf(owner);
  if (life === 'gone') return;
  const away = life === 'unknown';
  throw new AttuneError('JOURNAL_LOCKED', {
    at: path,
    found: `the lock of process ${owner.pid}${away ? ` of ${owner.host}, which cannot be seen from here` : ', which is running'}`,
    expected: 'one process for each output',
    hint: away
      ? 'Wait for it, or give --out another name; if that process has ended, remove the lock file'
      : 'Wait for it, or give --out another name',
  });
}

/** Whether it was this process that made the name. */
function linked(from: string, to: string): boolean {
  try {
    fs().linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function textOf(path: string): string | undefined {
  try {
    return fs().readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
