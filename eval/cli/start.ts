/** Runs a command as a program: errors as sentences on stderr, exit codes 0 success, 1 failure, 2 a bound missed. */
import { isAttuneError } from '../../errors.ts';
import { guard } from '../terminal.ts';
import { type Command, runCommand } from './commands.ts';

export function start(commands?: Readonly<Record<string, Command>>): void {
  guard(process.stdout);
  guard(process.stderr);
  // Whoever read the output has seen enough (attune … | head): not an error of ours. Rows are in their files.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });

  runCommand(process.argv.slice(2), commands).then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      process.stderr.write(
        `${isAttuneError(error) ? error.message : ((error as Error).stack ?? String(error))}\n`,
      );
      process.exitCode = 1;
    },
  );
}
