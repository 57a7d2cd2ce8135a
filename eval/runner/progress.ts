/** Progress on stderr: one line rewritten on a terminal, a line now and then elsewhere. */

export interface Progress {
  /** @param note a running estimate, or nothing. */
  step(note?: string): void;
  end(): void;
}

export interface ProgressOptions {
  label: string;
  total: number;
  /** Steps that an earlier run did. Default 0. */
  done?: number;
  /** Steps of what comes after, for the time that is left of all. Default 0. */
  later?: number | undefined;
  stream?: { isTTY?: boolean; write(text: string): unknown };
  now?: () => number;
}

/** Milliseconds between lines. */
const TERMINAL_INTERVAL = 100;
const LOG_INTERVAL = 10_000;

/** The time left is that of this process's own pace, resumed steps apart. */
export function progress({
  label,
  total,
  done = 0,
  later = 0,
  stream = process.stderr,
  now = Date.now,
}: ProgressOptions): Progress {
  const begin = now();
  const interval = stream.isTTY ? TERMINAL_INTERVAL : LOG_INTERVAL;
  let steps = done;
  let shown = begin;
  const line = (note: string) => {
    const elapsed = now() - begin;
    const pace = steps > done ? elapsed / (steps - done) : Number.NaN;
    const left = (count: number) => `, ${duration(pace * count)} left`;
    const eta = Number.isNaN(pace) ? '' : left(total - steps);
    const all = Number.isNaN(pace) || later === 0 ? '' : `${left(total - steps + later)} of all`;
    return `${label}: ${steps}/${total}${eta}${all}${note ? `, ${note}` : ''}`;
  };
  const show = (text: string) => stream.write(stream.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
  return {
    step(note = '') {
      steps += 1;
      if (now() - shown < interval && steps < total) return;
      shown = now();
      show(line(note));
    },
    end() {
      if (stream.isTTY) stream.write('\r\x1b[K');
    },
  };
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
