/**
 * Who holds a lock: enough to tell, from another process, whether the holder still runs. A process id alone is not: ids are
 * given again, and the ids of another machine or container mean nothing here.
 */
import { z } from 'zod';
import { nodeModule } from '../../onnx/node.ts';

const childProcess = () => nodeModule('node:child_process');
const fs = () => nodeModule('node:fs');
const os = () => nodeModule('node:os');

const ownerSchema = z.object({
  pid: z.int().positive(),
  /** Different for each lock that was ever taken. */
  token: z.string(),
  /** Where the pid means something: host name, and on Linux the namespace of process ids. */
  host: z.string().optional(),
  /** On Linux: since when the machine runs. */
  boot: z.string().optional(),
  /** When the process began, by the system's own clock; a pid given again has another. */
  started: z.string().optional(),
});
export type Owner = z.output<typeof ownerSchema>;

/** What can be said of an owner: `unknown` of one whose processes cannot be seen from here. */
export type Life = 'running' | 'gone' | 'unknown';

export const thisProcess = (): Owner => ({
  pid: process.pid,
  token: crypto.randomUUID(),
  host: place(),
  boot: bootId(),
  started: startOf(process.pid),
});

/** undefined where the text is no owner, as after a power cut. Locks of older versions are a process id. */
export function readOwner(text: string): Owner | undefined {
  const pid = /^(\d+)\n?$/.exec(text)?.[1];
  if (pid !== undefined) return { pid: Number(pid), token: `pid-${pid}` };
  try {
    return ownerSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The first namespace of process ids, which a machine has outside any container. */
const FIRST_NAMESPACE = 'pid:[4026531836]';

export function lifeOf({ pid, host, boot, started }: Owner): Life {
  if (host !== undefined && host !== place()) return 'unknown';
  if (boot !== undefined && boot !== bootId()) {
    // The machine was started anew and its processes with it; a container's namespace alone does not say which machine it was on.
    return place().endsWith(FIRST_NAMESPACE) ? 'gone' : 'unknown';
  }
  if (!alive(pid)) return 'gone';
  const now = startOf(pid);
  return started === undefined || now === undefined || started === now ? 'running' : 'gone';
}

let known: string | undefined;
function place(): string {
  known ??= `${os().hostname()} ${attempt(() => fs().readlinkSync('/proc/self/ns/pid')) ?? ''}`.trim();
  return known;
}

const bootId = (): string | undefined =>
  attempt(() => fs().readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());

/** A process that has ended and was not waited for yet counts as gone. */
function alive(pid: number): boolean {
  if (statOf(pid)?.state === 'Z') return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** undefined where the system does not say. */
function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') return statOf(pid)?.start;
  if (process.platform === 'win32') return undefined;
  return attempt(() =>
    childProcess()
      .execFileSync('ps', ['-o', 'lstart=', '-p', `${pid}`], { encoding: 'utf8' })
      .trim(),
  );
}

/** /proc/<pid>/stat (proc(5)): after the name in brackets, field 3 is the state and field 22 the start in clock ticks. */
function statOf(pid: number): { state: string; start: string } | undefined {
  const text = attempt(() => fs().readFileSync(`/proc/${pid}/stat`, 'latin1'));
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields && { state: fields[0]!, start: fields[19]! };
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
