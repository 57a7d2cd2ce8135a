/** attune completion: a script for bash and zsh that completes commands, names of interventions and of tasks. */
import { definedKinds } from '../../interventions/index.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';

const USAGE: Usage = {
  command: 'completion',
  summary: 'a script that completes names in bash and zsh',
  flags: { json: { type: 'boolean', description: 'one JSON document on stdout' } },
  examples: ['attune completion >> ~/.bashrc', 'eval "$(attune completion)"'],
};

/** @param commands names of the commands */
export const completionCommand =
  (commands: readonly string[]) =>
  async (argv: readonly string[]): Promise<number> => {
    const args = readArguments(USAGE, argv);
    const script = await completionScript(commands);
    if (args.flag('help')) process.stdout.write(helpText(USAGE));
    else process.stdout.write(args.flag('json') ? `${JSON.stringify({ script })}\n` : script);
    return 0;
  };

/** @param commands names of the commands */
async function completionScript(commands: readonly string[]): Promise<string> {
  const { builtinTasks } = await import('../tasks/builtin/index.ts');
  return `# eval "$(attune completion)" in ~/.bashrc; in ~/.zshrc after: autoload -U bashcompinit && bashcompinit
_attune() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  case $before in
    --intervention|interventions) COMPREPLY=($(compgen -W '${[...definedKinds().keys()].sort().join(' ')}' -- "$word")) ;;
    --task) COMPREPLY=($(compgen -f -W '${[...builtinTasks.keys()].sort().join(' ')}' -- "$word")) ;;
    attune) COMPREPLY=($(compgen -W '${commands.join(' ')}' -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o default -F _attune attune
`;
}
