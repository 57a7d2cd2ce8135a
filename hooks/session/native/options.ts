/** Options of onnxruntime-common as the addon takes them. What means nothing natively is an error, not a silence. */
import { AttuneError } from '../../../errors.ts';

type Options = Readonly<Record<string, unknown>>;

const OPTIMIZATION: Readonly<Record<string, number>> = {
  disabled: 0,
  basic: 1,
  extended: 2,
  layout: 99,
  all: 99,
};

/** More threads than this are a slip, and a thousand of them take the machine down. */
const MOST_THREADS = 256;

/** Options whose meaning and name the addon shares. */
const PLAIN = [
  'enableCpuMemArena',
  'enableMemPattern',
  'logId',
  'logVerbosityLevel',
  'logSeverityLevel',
] as const;

/**
 * @throws AttuneError THREADS_INVALID, NATIVE_OPTION for what only another runtime can do
 */
export function sessionSettings(options: Options): Options {
  const { externalData, executionProviders, graphOptimizationLevel, executionMode, enableProfiling } =
    options;
  if (Array.isArray(externalData) && externalData.some((file) => typeof file !== 'string')) {
    throw unavailable('externalData as bytes', 'Create the session from a path, beside which the data lies.');
  }
  for (const provider of Array.isArray(executionProviders) ? (executionProviders as unknown[]) : []) {
    const name = typeof provider === 'string' ? provider : (provider as { name?: string }).name;
    if (name !== 'cpu') throw unavailable(`execution provider ${name}`, 'Use runtime: "onnxruntime" for it.');
  }
  const level =
    graphOptimizationLevel === undefined ? undefined : OPTIMIZATION[String(graphOptimizationLevel)];
  if (graphOptimizationLevel !== undefined && level === undefined) {
    const levels = Object.keys(OPTIMIZATION).join(', ');
    throw unavailable(`graphOptimizationLevel ${graphOptimizationLevel}`, `One of ${levels}.`);
  }
  return defined({
    ...Object.fromEntries(PLAIN.map((name) => [name, options[name]])),
    intraOpNumThreads: threads('intraOpNumThreads', options.intraOpNumThreads),
    interOpNumThreads: threads('interOpNumThreads', options.interOpNumThreads),
    graphOptimizationLevel: level,
    parallel: executionMode === undefined ? undefined : executionMode === 'parallel',
    optimizedModelFilePath: options.optimizedModelFilePath || undefined,
    profileFilePrefix: enableProfiling ? (options.profileFilePrefix ?? 'onnxruntime_profile') : undefined,
    freeDimensionOverrides: Object.entries((options.freeDimensionOverrides ?? {}) as Options).map(
      ([name, value]) => ({ name, value }),
    ),
    entries: entries(options.extra),
  });
}

export function runSettings(options: Options): Options {
  const { logSeverityLevel, logVerbosityLevel, tag, extra } = options;
  return defined({ logSeverityLevel, logVerbosityLevel, tag, entries: entries(extra) });
}

/** { session: { set_denormal_as_zero: '1' } } is the entry session.set_denormal_as_zero. */
function entries(extra: unknown, prefix = ''): string[][] {
  return Object.entries((extra ?? {}) as Options).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null
      ? entries(value, `${prefix}${key}.`)
      : [[`${prefix}${key}`, String(value)]],
  );
}

function threads(name: string, count: unknown): number | undefined {
  if (count === undefined) return undefined;
  if (Number.isInteger(count) && (count as number) >= 1 && (count as number) <= MOST_THREADS) {
    return count as number;
  }
  throw new AttuneError('THREADS_INVALID', {
    at: name,
    found: String(count),
    expected: `a whole number from 1 to ${MOST_THREADS}`,
    hint: 'Leave it out for one thread per core.',
  });
}

function unavailable(found: string, hint: string): AttuneError {
  return new AttuneError('NATIVE_OPTION', { found, expected: 'what the native runtime can do', hint });
}

function defined(options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  );
}
