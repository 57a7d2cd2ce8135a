/** attune verify: compare what this machine computes with golden values, kernels by vectors or a model end to end. */
import { existsSync } from 'node:fs';
import { AttuneError } from '../../errors.ts';
import { LOWERINGS } from '../../hooks/compile/index.ts';
import { checkBoundedCache } from '../verify/bounded-cache.ts';
import { verifyVectors } from '../verify/golden-vectors.ts';
import { type CaseState, verifyEndToEnd } from '../verify/index.ts';
import { otherFamilies } from '../verify/other-families.ts';
import { checkStatistics } from '../verify/vectors.ts';
import { type Arguments, helpText, readArguments, type Usage } from './arguments.ts';
import { SHIPPED } from './shipped.ts';

const EPS = ['cpu', 'wasm', 'webgpu'] as const;

/** The vectors that come with attune. */
const OWN_VECTORS = SHIPPED.golden;

/** What both kinds of verification report. */
interface Report {
  readonly cases: readonly {
    readonly family: string;
    readonly case: string;
    readonly state: CaseState;
    readonly lowering: string;
    readonly ep: string;
    readonly maxAbsError: number;
    readonly pass: boolean;
  }[];
  readonly notBuilt: readonly (string | { readonly family: string; readonly case: string })[];
  readonly passed: number;
  readonly failed: number;
}

const USAGE: Usage = {
  command: 'verify',
  summary: 'compare what this machine computes with golden values',
  flags: {
    golden: {
      type: 'string',
      value: '<folder>',
      multiple: true,
      description: 'vectors of single methods; default those of the checkout',
    },
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
    lowering: {
      type: 'string',
      value: '<name>',
      multiple: true,
      description: `of the vectors: ${LOWERINGS.join(', ')}, or one with its form, as 'gqa expand'; default all`,
    },
    ep: {
      type: 'string',
      value: '<cpu|wasm|webgpu>',
      description: 'execution provider; default cpu; --end-to-end knows cpu and wasm',
    },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: [
    'attune verify',
    'attune verify --golden testbed/golden --ep wasm --json',
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
  const report = await (args.text('end-to-end') === undefined ? vectors(args) : endToEnd(args));
  process.stdout.write(args.flag('json') ? `${JSON.stringify(report)}\n` : page(report));
  return report.failed === 0 ? 0 : 1;
}

function executionProvider(args: Arguments): (typeof EPS)[number] {
  const given = args.text('ep') ?? 'cpu';
  const ep = EPS.find((known) => known === given);
  if (ep) return ep;
  throw new AttuneError('ARGUMENT_INVALID', { at: '--ep', found: given, expected: EPS.join(', ') });
}

const progress = (line: string) => process.stderr.write(`${line}\n`);

async function endToEnd(args: Arguments): Promise<Report> {
  const [golden, weights, ep] = [args.text('end-to-end')!, args.text('weights'), executionProvider(args)];
  if (weights === undefined) {
    throw new AttuneError('ARGUMENT_INVALID', {
      found: '--end-to-end without --weights',
      hint: 'See --help.',
    });
  }
  if (ep === 'webgpu') {
    throw new AttuneError('ARGUMENT_INVALID', { at: '--ep', found: 'webgpu', expected: 'cpu or wasm' });
  }
  return verifyEndToEnd({ golden, weights, form: args.text('form'), ep, onProgress: progress });
}

async function vectors(args: Arguments): Promise<Report> {
  const given = args.list('golden');
  const lowerings = args.list('lowering');
  if (given.length === 0 && !existsSync(OWN_VECTORS)) {
    throw new AttuneError('ARGUMENT_INVALID', {
      found: 'no --golden, and no vectors in this installation',
      hint: 'Give a folder of golden files, or --end-to-end; a checkout of the repository has its own.',
    });
  }
  return verifyVectors({
    golden: given.length > 0 ? given : [OWN_VECTORS],
    ep: executionProvider(args),
    lowerings: lowerings.length > 0 ? lowerings : undefined,
    others: (golden) => checkStatistics(golden) ?? checkBoundedCache(golden) ?? otherFamilies(golden),
    onResult: (one) =>
      progress(`${one.pass ? 'ok' : 'FAILED'} ${one.state} ${one.lowering} ${one.family} ${one.case}`),
  });
}

/** What was proven of the product, what only the reference says, what nothing here computes: three lists. */
function page({ cases, notBuilt, passed, failed }: Report): string {
  const names = notBuilt.map((one) => (typeof one === 'string' ? one : `${one.family} ${one.case}`));
  const failures = cases
    .filter(({ pass }) => !pass)
    .map((one) => `FAILED ${one.lowering} ${one.family}: ${one.case}: off by ${one.maxAbsError}`);
  const of = (state: CaseState) => cases.filter((one) => one.state === state);
  const lines = [
    ...section('through the product', of('product')),
    ...section(
      'reference only: the float64 reference agrees, no code that ships computes it',
      of('reference'),
    ),
    ...failures,
    ...(names.length > 0 ? [`not built: ${names.join(', ')}`] : []),
    `${passed} passed, ${failed} failed`,
  ];
  return `${lines.join('\n')}\n`;
}

function section(title: string, cases: Report['cases']): string[] {
  if (cases.length === 0) return [];
  const groups = new Map<string, Report['cases'][number][]>();
  for (const one of cases) {
    const key = [one.lowering.padEnd(24), one.ep.padEnd(6), one.family.padEnd(22)].join(' ');
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const lines = [...groups].map(([key, own]) => {
    const good = own.filter(({ pass }) => pass);
    const worst = Math.max(0, ...good.map(({ maxAbsError }) => maxAbsError));
    return `  ${key} ${good.length} of ${own.length}${worst > 0 ? `  within ${worst.toExponential(1)}` : ''}`;
  });
  return [`${title}:`, ...lines];
}
