/** attune interventions, attune tasks: what may be named, and what each parameter takes. */
import { definedKinds, interventionNamed, parameterLines } from '../../interventions/index.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';

const json = { type: 'boolean', description: 'one JSON document on stdout' } as const;

const INTERVENTIONS: Usage = {
  command: 'interventions',
  summary: 'the interventions, or the parameters of one',
  positionals: '[name]',
  flags: { json },
  examples: ['attune interventions', 'attune interventions act'],
};

const TASKS: Usage = {
  command: 'tasks',
  summary: 'the built-in tasks',
  flags: { json },
  examples: ['attune tasks', 'attune tasks --json'],
};

interface Out {
  write(text: string): unknown;
}

/** @throws AttuneError INTERVENTION_UNKNOWN with the nearest name, ARGUMENT_* */
export async function interventionsCommand(
  argv: readonly string[],
  out: Out = process.stdout,
): Promise<number> {
  const args = readArguments(INTERVENTIONS, argv);
  const names = args.positionals.length > 0 ? args.positionals : [...definedKinds().keys()].sort();
  const rows = names.map((name) => ({ name, factory: interventionNamed(name) }));
  if (args.flag('help')) out.write(helpText(INTERVENTIONS));
  else if (args.flag('json')) {
    const listed = rows.map(({ name, factory }) => ({
      name,
      reference: factory.reference,
      needs: factory.kind.needs,
      parameters: parameterLines(factory.schema),
    }));
    out.write(`${JSON.stringify({ interventions: listed })}\n`);
  } else out.write(rows.map(({ name }) => interventionText(name)).join('\n'));
  return 0;
}

/** Name, paper, needs and parameters of one. @throws AttuneError INTERVENTION_UNKNOWN */
export function interventionText(name: string): string {
  const { reference, kind, schema } = interventionNamed(name);
  const lines = parameterLines(schema).map((line) => `    ${line}\n`);
  return `${name} (${reference}); needs ${kind.needs.join(', ') || 'nothing'}\n${lines.join('')}`;
}

/** @throws AttuneError ARGUMENT_* */
export async function tasksCommand(argv: readonly string[], out: Out = process.stdout): Promise<number> {
  const args = readArguments(TASKS, argv);
  const { builtinTasks } = await import('../tasks/builtin/index.ts');
  const names = [...builtinTasks.keys()].sort();
  if (args.flag('help')) out.write(helpText(TASKS));
  else out.write(args.flag('json') ? `${JSON.stringify({ tasks: names })}\n` : `${names.join('\n')}\n`);
  return 0;
}
