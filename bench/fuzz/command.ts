/** attune fuzz: files that are nearly models, until time is up. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import { helpText, readArguments, type Usage } from '../../eval/cli/arguments.ts';
import { drive, type Found, type Tally } from './drive.ts';
import { mutant } from './mutant.ts';

const USAGE: Usage = {
  command: 'fuzz',
  summary:
    'mutated model files: every one must end in a right answer or a typed error; exit 2 when one does not',
  flags: {
    minutes: { type: 'string', value: '<n>', description: 'how long; default 5' },
    count: { type: 'string', value: '<n>', description: 'at most so many files' },
    seed: {
      type: 'string',
      value: '<n>',
      description: 'of the first file; default the time of day. A seed is one file, always the same',
    },
    run: {
      type: 'boolean',
      description:
        'also run what ONNX Runtime takes, with everything read, ablated and tuned, and check the numbers',
    },
    out: {
      type: 'string',
      value: '<folder>',
      description: 'where the files go that something was found with; default .attune/fuzz',
    },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: ['attune fuzz --minutes 10 --run', 'attune fuzz --seed 2659 --count 1'],
};

/** @throws AttuneError ARGUMENT_* */
export async function fuzzCommand(argv: readonly string[]): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    process.stdout.write(helpText(USAGE));
    return 0;
  }
  const minutes = Number(args.text('minutes') ?? 5);
  if (!(minutes > 0)) {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: '--minutes',
      found: args.text('minutes')!,
      expected: 'a number above 0',
    });
  }
  const out = args.text('out') ?? join('.attune', 'fuzz');
  const tally = await drive({
    from: args.integer('seed') ?? Date.now() % 86_400_000,
    count: args.integer('count', 1) ?? Infinity,
    until: Date.now() + 60_000 * minutes,
    run: args.flag('run'),
    onFound: (found) => process.stderr.write(`${foundText(found, keptIn(out, found))}\n`),
    onTried: ({ tried, found }) => {
      if (tried % 100 === 0) process.stderr.write(`${tried} files, ${found.length} findings\n`);
    },
  });
  process.stdout.write(args.flag('json') ? `${JSON.stringify(tally)}\n` : summary(tally));
  return tally.found.length > 0 ? 2 : 0;
}

/** The file beside what is known of it. @returns its path */
function keptIn(folder: string, found: Found): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${found.seed}.onnx`);
  writeFileSync(path, mutant(found.seed).bytes);
  writeFileSync(join(folder, `${found.seed}.json`), `${JSON.stringify(found, null, 1)}\n`);
  return path;
}

function foundText({ seed, file, mutations, outcome, stage, message }: Found, path: string): string {
  return `! ${outcome} at ${stage}: seed ${seed}, ${file}, ${mutations.join(' + ')}\n  ${message.split('\n').slice(0, 4).join('\n  ')}\n  ${path}`;
}

function summary({ tried, outcomes, codes, found, slowestMs }: Tally): string {
  const list = (of: Record<string, number>) =>
    Object.entries(of)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return `${tried} files: ${list(outcomes)}\ntyped errors: ${list(codes)}\nslowest ${slowestMs.toFixed(0)} ms\n${found.length} findings\n`;
}
