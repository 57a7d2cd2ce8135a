#!/usr/bin/env node
/** The attune command. Exit 0 success, 1 failure, 2 a bound missed. */
import { isAttuneError } from '../../errors.ts';
import { runCommand } from './commands.ts';

runCommand(process.argv.slice(2)).then(
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
