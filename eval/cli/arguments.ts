/** Command-line arguments by a small declarative table: parsing, --help, and the nearest name for a wrong flag. */
import { parseArgs } from 'node:util';
import { AttuneError, nearest } from '../../errors.ts';

export interface Flag {
  readonly type: 'string' | 'boolean';
  /** What stands for the value in the help text. */
  readonly value?: string;
  readonly multiple?: boolean;
  readonly description: string;
}

export interface Usage {
  readonly command: string;
  readonly summary: string;
  /** Positional arguments as shown in the help text, such as '<folder|file.onnx>'. */
  readonly positionals?: string;
  readonly flags: Readonly<Record<string, Flag>>;
  readonly examples: readonly string[];
}

export interface Arguments {
  readonly positionals: readonly string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  list(name: string): readonly string[];
  /** @throws AttuneError ARGUMENT_INVALID when it is not a whole number of at least `minimum` */
  integer(name: string, minimum?: number): number | undefined;
}

/** @throws AttuneError ARGUMENT_UNKNOWN, ARGUMENT_INVALID */
export function readArguments(usage: Usage, argv: readonly string[]): Arguments {
  const options = { ...usage.flags, help: { type: 'boolean', description: '' } } as const;
  for (const argument of argv) {
    const name = /^--([^=]+)/.exec(argument)?.[1];
    if (argument === '--') break;
    if (name !== undefined && !(name in options)) {
      throw new AttuneError('ARGUMENT_UNKNOWN', {
        found: `--${name}`,
        expected: `a flag of attune ${usage.command}`,
        hint: `Did you mean ${nearest(name, Object.keys(options), 2)
          .map((candidate) => `--${candidate}`)
          .join(' or ')}? --help lists all.`,
      });
    }
  }
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...argv], allowPositionals: true, options: parserOptions(options) });
  } catch (cause) {
    throw new AttuneError('ARGUMENT_INVALID', {
      found: (cause as Error).message,
      hint: '--help lists all flags.',
      cause,
    });
  }
  const { values, positionals } = parsed;
  const text = (name: string) => values[name] as string | undefined;
  return {
    positionals,
    flag: (name) => values[name] === true,
    text,
    list: (name) => (values[name] as string[] | undefined) ?? [],
    integer(name, minimum = 0) {
      const given = text(name);
      if (given === undefined) return undefined;
      const value = Number(given);
      if (Number.isInteger(value) && value >= minimum) return value;
      throw new AttuneError('ARGUMENT_INVALID', {
        at: `--${name}`,
        found: JSON.stringify(given),
        expected: `a whole number of at least ${minimum}`,
      });
    },
  };
}

function parserOptions(flags: Readonly<Record<string, Flag>>) {
  return Object.fromEntries(
    Object.entries(flags).map(([name, { type, multiple = false }]) => [name, { type, multiple }]),
  );
}

export function helpText({ command, summary, positionals = '', flags, examples }: Usage): string {
  const rows = Object.entries(flags).map(([name, flag]) => [
    `  --${name}${flag.type === 'string' ? ` ${flag.value ?? '<value>'}` : ''}`,
    flag.description,
  ]);
  const width = Math.max(...rows.map(([left]) => left!.length)) + 2;
  return [
    `attune ${command}: ${summary}`,
    '',
    `Usage: attune ${command} ${positionals} [flags]`.replace('  ', ' '),
    '',
    ...rows.map(([left, right]) => left!.padEnd(width) + right),
    '',
    'Examples:',
    ...examples.map((example) => `  ${example}`),
    '',
  ].join('\n');
}
