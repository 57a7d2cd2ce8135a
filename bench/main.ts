/** The attune command of a checkout: that of the package, and `bench`. */
import { COMMANDS } from '../eval/cli/commands.ts';
import { start } from '../eval/cli/start.ts';

start({
  ...COMMANDS,
  bench: {
    summary: 'measure speed against bounds',
    load: async () => (await import('./cli.ts')).benchCommand,
  },
});
