/** The attune command of a checkout: that of the package, `bench` and `fuzz`. */
import { COMMANDS } from '../eval/cli/commands.ts';
import { start } from '../eval/cli/start.ts';

start({
  ...COMMANDS,
  bench: {
    summary: 'measure speed against bounds',
    load: async () => (await import('./cli.ts')).benchCommand,
  },
  fuzz: {
    summary: 'mutated model files: a right answer or a typed error for each',
    load: async () => (await import('./fuzz/command.ts')).fuzzCommand,
  },
});
