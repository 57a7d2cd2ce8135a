/**
 * attune eval with the toy model, as a process of its own that tests can kill:
 *   tsx eval/testing/eval-toy.ts <delay in ms> <flags of attune eval…>
 */

import { extname } from 'node:path';
import { isAttuneError } from '../../errors.ts';
import { evalCommand } from '../cli/eval.ts';
import { toyIntervention, toyModel } from './toy-model.ts';

const [delay, ...argv] = process.argv.slice(2);

evalCommand(argv, {
  loadModel: async (name) => toyModel({ name, delay: Number(delay) }),
  readIntervention: toyIntervention,
  worker: new URL(`./toy-worker${extname(import.meta.url)}`, import.meta.url),
  stdout: process.stdout,
  stderr: process.stderr,
}).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${isAttuneError(error) ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
