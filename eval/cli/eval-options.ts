/** The flags of attune eval as options of evaluate. */
import { AttuneError } from '../../errors.ts';
import type { EvaluateOptions } from '../evaluate/options.ts';
import type { Arguments } from './arguments.ts';
import { chatOf, modelOptionsOf } from './model-flags.ts';

/** @throws AttuneError ARGUMENT_* */
export function evalOptions(args: Arguments): EvaluateOptions {
  const { dtype, ...model } = modelOptionsOf(args);
  return {
    model: required(args, 'model'),
    tasks: required(args, 'task'),
    metrics: args.list('metric'),
    interventions: interventionsOf(args),
    profiles: args.list('profile'),
    data: args.text('data'),
    images: args.text('images'),
    allowOutside: args.flag('allow-outside'),
    split: args.text('split'),
    limit: args.integer('limit', 1),
    seed: args.integer('seed'),
    sampleIds: args.list('sample-id'),
    gates: args.list('gate'),
    resamples: args.integer('resamples', 100),
    headMaps: args.integer('head-maps', 1),
    shard: args.text('shard'),
    workers: args.integer('workers', 1),
    threads: args.integer('threads', 1),
    skipBad: args.flag('skip-bad'),
    // Refused by the loader, which says which there are.
    dtype: dtype as EvaluateOptions['dtype'],
    ...model,
    ...chatOf(args),
  };
}

/** @throws AttuneError ARGUMENT_MISSING */
export function required(args: Arguments, flag: string, command = 'eval'): readonly string[] {
  const values = args.list(flag);
  if (values.length > 0) return values;
  throw new AttuneError('ARGUMENT_MISSING', {
    expected: `--${flag}`,
    hint: `attune ${command} --help shows examples`,
  });
}

function interventionsOf(args: Arguments): NonNullable<EvaluateOptions['interventions']> {
  const names = args.list('intervention');
  const params = args.list('params');
  if (params.length > names.length) {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: '--params',
      found: `${params.length} sets of parameters for ${names.length} interventions`,
      expected: 'at most one for each --intervention',
    });
  }
  return names.map((intervention, i) => ({ intervention, ...parametersOf(params[i]) }));
}

/** JSON, or the word default: every parameter at its default, or the error that names those without one. */
export function parametersOf(text = '{}'): Record<string, unknown> {
  if (text === 'default') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: '--params',
    found: text,
    expected: 'a JSON object such as {"gamma":1.4}, or default',
  });
}
