/** attune merge: shards of a run put together into the report that one run would have written. */
import { EVALUATE_WORLD } from '../evaluate/evaluate.ts';
import type { ReadIntervention } from '../evaluate/settings.ts';
import { reportTable } from '../reports/table.ts';
import { gateText } from '../runner/gate.ts';
import { mergeShards } from '../shards/merge.ts';
import { guarded } from '../terminal.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { jsonOutput } from './eval-output.ts';

const USAGE: Usage = {
  command: 'merge',
  summary: 'shards of a run (folders that attune eval --shard wrote) as one run, with its report',
  positionals: '<shard>…',
  flags: {
    out: {
      type: 'string',
      value: '<folder>',
      description: 'rows and report; default runs/<hash of what was run>',
    },
    data: {
      type: 'string',
      value: '<folder|file>',
      description: "where the tasks' files are here; default: where they were when the shards ran",
    },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: [
    'attune merge runs/3f2a91c04b7e/shard-*',
    'attune merge shard-1 shard-2 shard-3 --out runs/whole --data data/',
  ],
};

export interface MergeWorld {
  readIntervention: ReadIntervention;
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
}

const WORLD: MergeWorld = { ...EVALUATE_WORLD, stdout: process.stdout, stderr: process.stderr };

/** @throws AttuneError ARGUMENT_*, SHARD_*, TASK_*, DATA_*, JOURNAL_MALFORMED, RUN_WRITE */
export async function mergeCommand(argv: readonly string[], given: MergeWorld = WORLD): Promise<number> {
  const stdout = guarded(given.stdout);
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    stdout.write(helpText(USAGE));
    return 0;
  }
  const asked = { folders: args.positionals, out: args.text('out'), data: args.text('data') };
  const { report, costs, gates, pass, files } = await mergeShards(asked, given.readIntervention);
  guarded(given.stderr).write(gateText(gates));
  const { report: path, page } = files!;
  stdout.write(
    args.flag('json')
      ? jsonOutput(report.runs, costs, path, gates)
      : `${reportTable(report.runs)}\n\nreport: ${path}\npage: ${page}\n`,
  );
  return pass ? 0 : 2;
}
