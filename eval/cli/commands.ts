/** The commands of attune, each loaded when it is asked for. */
import { AttuneError, nearest } from '../../errors.ts';

export interface Command {
  readonly summary: string;
  load(): Promise<(argv: readonly string[]) => Promise<number>>;
}

export const COMMANDS: Readonly<Record<string, Command>> = {
  inspect: {
    summary: 'show the attention sites and hook points of a model',
    load: async () => (await import('./inspect.ts')).inspectCommand,
  },
  tap: {
    summary: 'run a model and write activations at hook points',
    load: async () => (await import('./tap.ts')).tapCommand,
  },
  eval: {
    summary: 'score a model on tasks, without and with interventions',
    load: async () => (await import('./eval.ts')).evalCommand,
  },
  merge: {
    summary: 'put shards of a run of eval together',
    load: async () => (await import('./merge.ts')).mergeCommand,
  },
  compare: {
    summary: 'compare two runs of eval on the items they share',
    load: async () => (await import('./compare.ts')).compareCommand,
  },
  export: {
    summary: 'the numbers of a run as CSV, LaTeX, JSON lines or Vega-Lite',
    load: async () => (await import('./export.ts')).exportCommand,
  },
  score: {
    summary: 'hallucination metrics of captions and answers from files',
    load: async () => (await import('./score.ts')).scoreCommand,
  },
  heads: {
    summary: 'statistics of every attention head, as tables or a page of heat maps',
    load: async () => (await import('./heads.ts')).headsCommand,
  },
  show: {
    summary: 'attention over the tokens of a prompt by layer and head, as a page',
    load: async () => (await import('./show.ts')).showCommand,
  },
  calibrate: {
    summary: 'find heads and strengths of an intervention, and keep them as a profile',
    load: async () => (await import('./calibrate.ts')).calibrateCommand,
  },
  directions: {
    summary: 'find directions of a model in pairs of texts, to steer it along',
    load: async () => (await import('./directions.ts')).directionsCommand,
  },
  interventions: {
    summary: 'the interventions, or the parameters of one',
    load: async () => (await import('./lists.ts')).interventionsCommand,
  },
  tasks: {
    summary: 'the built-in tasks',
    load: async () => (await import('./lists.ts')).tasksCommand,
  },
  completion: {
    summary: 'a script that completes names in bash and zsh: eval "$(attune completion)"',
    load: async () => (await import('./completion.ts')).completionCommand(Object.keys(COMMANDS)),
  },
  verify: {
    summary: 'compare what this machine computes with golden values',
    load: async () => (await import('./verify.ts')).verifyCommand,
  },
  demo: {
    summary: 'the core methods on the two models of the repository, in a minute',
    load: async () => (await import('./demo.ts')).demoCommand,
  },
};

/** @throws AttuneError COMMAND_UNKNOWN, and what the command throws */
export async function runCommand(
  [name, ...argv]: readonly string[],
  commands: Readonly<Record<string, Command>> = COMMANDS,
): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(overview(commands));
    return name === undefined ? 1 : 0;
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${await ownVersion()}\n`);
    return 0;
  }
  const command = commands[name];
  if (!command) {
    throw new AttuneError('COMMAND_UNKNOWN', {
      found: `"${name}"`,
      expected: Object.keys(commands).join(', '),
      hint:
        name === 'bench'
          ? 'Benchmarks run from a checkout: npm run attune -- bench.'
          : `Did you mean ${nearest(name, Object.keys(commands), 1)[0]}?`,
    });
  }
  return (await command.load())(argv);
}

async function ownVersion(): Promise<string> {
  const { createRequire } = await import('node:module');
  return (createRequire(import.meta.url)('attune/package.json') as { version: string }).version;
}

function overview(commands: Readonly<Record<string, Command>>): string {
  const rows = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  return `attune: training-free interventions on attention for ONNX transformers\n\n${rows.join('\n')}\n\nattune <command> --help shows flags and examples.\nExit code: 0 done, 1 an error or bad usage, 2 a gate or a bound that is not met.\n`;
}
