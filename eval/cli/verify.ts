/** attune verify: compare what this machine computes with golden values, kernels by vectors or a model end to end. */
import { AttuneError } from '../../errors.ts';
import { type VerifyReport, verifyEndToEnd } from '../verify/index.ts';
import { type Arguments, helpText, readArguments, type Usage } from './arguments.ts';

const EPS = ['cpu', 'wasm'] as const;

const USAGE: Usage = {
  command: 'verify',
  summary: 'compare what this machine computes with golden values',
  flags: {
    golden: { type: 'string', value: '<folder>', multiple: true, description: 'vectors of single methods' },
    'end-to-end': { type: 'string', value: '<file.json>', description: 'golden run of a whole model' },
    weights: {
      type: 'string',
      value: '<folder>',
      description: 'the model of --end-to-end: Hub layout, or stories260K.bin and tok512.bin',
    },
    form: {
      type: 'string',
      value: '<name>',
      description: 'decomposed, gqa or gqa-fused-rotary of a converted checkpoint; default all',
    },
    ep: { type: 'string', value: '<cpu|wasm>', description: 'execution provider; default cpu' },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: [
    'attune verify --end-to-end stories260K.json --weights weights/stories260K',
    'attune verify --end-to-end stories260K.json --weights weights/stories260K --form gqa --json',
  ],
};

export async function verifyCommand(argv: readonly string[]): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    process.stdout.write(helpText(USAGE));
    return 0;
  }
  const report = await (args.text('end-to-end') === undefined ? kernelVectors(args) : endToEnd(args));
  process.stdout.write(args.flag('json') ? `${JSON.stringify(report)}\n` : page(report));
  return report.failed === 0 ? 0 : 1;
}

function endToEnd(args: Arguments): Promise<VerifyReport> {
  const weights = args.text('weights');
  if (weights === undefined) {
    throw new AttuneError('ARGUMENT_INVALID', {
      found: '--end-to-end without --weights',
      hint: 'See --help.',
    });
  }
  const ep = EPS.find((known) => known === (args.text('ep') ?? 'cpu'));
  if (!ep) {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: '--ep',
      found: args.text('ep'),
      expected: EPS.join(' or '),
    });
  }
  const onProgress = (line: string) => process.stderr.write(`${line}\n`);
  return verifyEndToEnd({
    golden: args.text('end-to-end')!,
    weights,
    form: args.text('form'),
    ep,
    onProgress,
  });
}

/** @throws AttuneError NOT_BUILT until the kernels have a verifier of their own */
async function kernelVectors(args: Arguments): Promise<VerifyReport> {
  throw new AttuneError('NOT_BUILT', {
    found: `verify ${args.list('golden').join(' ')}`.trim(),
    expected: '--end-to-end <file.json> --weights <folder>',
    hint: 'Verification of kernels by vectors is not part of this version yet.',
  });
}

function page({ cases, notBuilt, passed, failed }: VerifyReport): string {
  const groups = new Map<string, typeof cases>();
  for (const one of cases) {
    const key = `${one.lowering.padEnd(18)} ${one.ep.padEnd(6)} ${one.family.padEnd(22)}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const lines = [...groups].map(([key, own]) => {
    const good = own.filter(({ pass }) => pass).length;
    const measured = own.filter(({ tolerance }) => tolerance > 0).map((one) => one.maxAbsError);
    const worst = measured.length > 0 ? `  largest error ${Math.max(...measured).toExponential(1)}` : '';
    return `${key} ${good} of ${own.length}${worst}`;
  });
  const failures = cases
    .filter(({ pass }) => !pass)
    .map((one) => `FAILED ${one.lowering} ${one.family}: ${one.case}: ${one.maxAbsError} > ${one.tolerance}`);
  const missing = notBuilt.length > 0 ? [`not built: ${notBuilt.join(', ')}`] : [];
  return `${[...lines, ...failures, ...missing, `${passed} passed, ${failed} failed`].join('\n')}\n`;
}
