/** The attune command as a process of its own: what a user types, and what comes of it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bundle } from '../../testbed/bundle.ts';

export interface AttuneProcess extends Disposable {
  /** What comes after node. */
  readonly argv: readonly string[];
  run(...argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>;
}

const cwd = fileURLToPath(new URL('../..', import.meta.url));

export async function attuneProcess(): Promise<AttuneProcess> {
  const bundled = await bundle('eval/cli/main.ts', 'eval/evaluate/eval-worker.ts');
  const argv = bundled.argv('main');
  return {
    argv,
    run: (...more) =>
      new Promise((done) => {
        execFile(process.execPath, [...argv, ...more], { cwd }, (error, stdout, stderr) => {
          done({ code: error ? Number(error.code) : 0, stdout, stderr });
        });
      }),
    [Symbol.dispose]: () => bundled[Symbol.dispose](),
  };
}
