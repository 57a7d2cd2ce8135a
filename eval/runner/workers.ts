/**
 * Worker processes: each loads the model and scores items, all settings of an item in the same process. Rows come back to
 * this process, which alone writes them. Memory is that of one model times the number of workers.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { AttuneError } from '../../errors.ts';
import type { ModelOptions } from '../models/load.ts';
import type { Row } from './row.ts';
import type { Scorer } from './scorer.ts';
import { errorOf, type FromWorker, type ToWorker, toMessage } from './worker-messages.ts';

/** Threads of one of n processes, so that together they have those of the machine. */
export const threadBudget = (workers: number): number =>
  Math.max(1, Math.floor(availableParallelism() / workers));

export interface WorkersOptions {
  count: number;
  /** Module that calls `serveRows`. */
  module: URL;
  model: string;
  options: ModelOptions;
}

/** @throws AttuneError WORKER_DIED, and what loading the model throws */
export async function workers({ count, module, model, options }: WorkersOptions): Promise<Scorer> {
  const threads = options.threads ?? threadBudget(count);
  const all = Array.from({ length: count }, () => new Worker(module));
  const dispose = async () => {
    await Promise.all(all.map((one) => one.end()));
  };
  try {
    const [ready] = await Promise.all(
      all.map((one) => one.ask({ say: 'load', model, options: { ...options, threads } }, 'ready')),
    );
    const idle = [...all];
    return {
      name: ready!.name,
      fingerprint: ready!.fingerprint,
      software: ready!.software,
      lanes: count,
      async *score({ settings, ...job }) {
        // The runner has as many jobs under way as there are lanes.
        const worker = idle.pop()!;
        try {
          yield* worker.rows({ say: 'score', job: { ...job, settings: settings.map(toMessage) } });
        } finally {
          idle.push(worker);
        }
      },
      // One of them knows: they have the same files.
      async checkProfile(profile) {
        await all[0]!.ask({ say: 'check', profile }, 'done');
      },
      async headMaps(setting, items) {
        return (await all[0]!.ask({ say: 'map', setting: toMessage(setting), items }, 'maps')).maps;
      },
      rest: async () => undefined,
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

class Worker {
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;
  #inbox: (FromWorker | Error)[] = [];
  #wake: (() => void) | undefined;

  constructor(module: URL) {
    // The worker's own output is none of the command's; what goes wrong comes as a message.
    this.#child = fork(fileURLToPath(module), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child.on('message', (message: FromWorker) => this.#receive(message));
    this.#exit = new Promise((resolve) => {
      const gone = (found: string) => {
        this.#receive(
          new AttuneError('WORKER_DIED', {
            found,
            hint: 'Rows are kept; run the same command again to go on, with fewer --workers if memory is short',
          }),
        );
        resolve();
      };
      this.#child.once('exit', (code, signal) =>
        gone(`worker ${this.#child.pid} ended by ${signal ?? `exit code ${code}`}`),
      );
      this.#child.once('error', (error) => gone(error.message));
    });
  }

  /** One message, and the answer to it. */
  async ask<K extends FromWorker['say']>(message: ToWorker, kind: K): Promise<FromWorker & { say: K }> {
    this.#send(message);
    for (;;) {
      const answer = await this.#next();
      if (answer.say === kind) return answer as FromWorker & { say: K };
    }
  }

  async *rows(message: ToWorker): AsyncGenerator<Omit<Row, 'key'>> {
    this.#send(message);
    for (;;) {
      const answer = await this.#next();
      if (answer.say === 'done') return;
      if (answer.say === 'row') yield answer.row;
    }
  }

  /** Lets go of the process, which then ends itself. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), 2000);
    await this.#exit;
    clearTimeout(patience);
  }

  #send(message: ToWorker): void {
    // A failure to send is the child's end, which is reported as such.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #receive(message: FromWorker | Error): void {
    this.#inbox.push(message);
    this.#wake?.();
  }

  async #next(): Promise<FromWorker> {
    while (this.#inbox.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const message = this.#inbox.shift()!;
    if (message instanceof Error) {
      // Whoever asks next is told the same.
      this.#inbox.push(message);
      throw message;
    }
    if (message.say === 'failed') throw errorOf(message.error);
    return message;
  }
}
