/** attune directions: directions of a model from pairs of texts, for steering. */
import { readFileSync } from 'node:fs';
import { METHODS } from '../../calibration/directions/axis.ts';
import { AttuneError } from '../../errors.ts';
import { PLACES } from '../../interventions/directions/directions.ts';
import { progress } from '../runner/progress.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { MODEL_FLAGS, modelOptionsOf } from './model-flags.ts';

const USAGE: Usage = {
  command: 'directions',
  summary: 'find directions of a model in pairs of texts, to steer it along',
  flags: {
    model: { type: 'string', value: '<folder|id>', description: 'a decoder in Hub layout' },
    pairs: {
      type: 'string',
      value: '<file.jsonl>',
      description: 'a line for each pair: {"positive": "…", "negative": "…"}',
    },
    out: { type: 'string', value: '<file>', description: 'a .safetensors file, or a .gguf control vector' },
    method: { type: 'string', value: '<name>', description: `${METHODS.join(' or ')}; default mean` },
    at: {
      type: 'string',
      value: '<point>',
      description: 'resid_post, the stream as it leaves each layer (default), or z, the outputs of heads',
    },
    heads: {
      type: 'string',
      value: '<n>',
      description: 'with --at z: keep the n heads that tell pairs apart best',
    },
    ...MODEL_FLAGS,
    json: { type: 'boolean', description: 'one JSON document on stdout: {out, layers}' },
  },
  examples: [
    'attune directions --model models/tiny --pairs honesty.jsonl --out honesty.safetensors',
    'attune directions --model models/tiny --pairs honesty.jsonl --at z --heads 16 --out heads.safetensors',
    `attune eval --model models/tiny --task copa --intervention steer --params '{"directions":"honesty.safetensors","strength":4}'`,
  ],
};

export interface DirectionsWorld {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
}

/** @throws AttuneError ARGUMENT_*, FILE_NOT_FOUND, PAIRS_INVALID, DIRECTIONS_INVALID, MODEL_LOAD */
export async function directionsCommand(
  argv: readonly string[],
  world: DirectionsWorld = process,
): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    world.stdout.write(helpText(USAGE));
    return 0;
  }
  const [name, file, out] = ['model', 'pairs', 'out'].map((flag) => {
    const given = args.text(flag);
    if (given !== undefined) return given;
    throw new AttuneError('ARGUMENT_MISSING', {
      expected: `--${flag}`,
      hint: 'attune directions --help shows examples.',
    });
  }) as [string, string, string];
  const method = oneOf('--method', args.text('method') ?? 'mean', METHODS);
  const at = oneOf('--at', args.text('at') ?? 'resid_post', PLACES);
  const heads = args.integer('heads', 1);
  if (heads !== undefined && at !== 'z') {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: '--heads',
      found: `--at ${at}`,
      expected: '--at z: the stream has no heads',
    });
  }
  // The library that runs models is large, and what is asked has been checked before it is loaded.
  const { readPairs } = await import('../../calibration/directions/pairs.ts');
  const texts = readPairs(textOf(file), file);
  const { findDirections } = await import('../../calibration/directions/find.ts');
  const { writeDirections } = await import('../../interventions/index.ts');
  const { loadCalibrationModel } = await import('./calibration-model.ts');
  const { Tensor } = await import('@huggingface/transformers');
  await using loaded = await loadCalibrationModel(name, modelOptionsOf(args));
  const encode = (text: string) => loaded.language.encode(text);
  const pairs = texts.map(({ positive, negative }) => ({
    positive: encode(positive),
    negative: encode(negative),
  }));
  const tensorsOf = (ids: readonly number[]) => {
    const tensor = (values: bigint[]) => new Tensor('int64', BigInt64Array.from(values), [1, values.length]);
    return { input_ids: tensor(ids.map(BigInt)), attention_mask: tensor(ids.map(() => 1n)) };
  };
  const bar = progress({ label: name, total: pairs.length, stream: world.stderr });
  const onProgress = () => bar.step();
  const options = { method, at, heads, onProgress };
  const { directions, accuracy } = await findDirections(loaded.model as never, pairs, tensorsOf, options);
  bar.end();
  writeDirections(out, directions);
  const layers = [...accuracy].map(([layer, heldOut]) => ({ layer, heldOut }));
  if (args.flag('json')) {
    world.stdout.write(`${JSON.stringify({ out, layers })}\n`);
    return 0;
  }
  const percent = (x: number) => `${(100 * x).toFixed(0)} %`;
  world.stdout.write('Pairs told apart by directions made of others:\n');
  for (const { layer, heldOut } of layers)
    world.stdout.write(`  layer ${layer}  ${heldOut.map(percent).join('  ')}\n`);
  world.stdout.write(`${directions.vectors.size} directions from ${pairs.length} pairs in ${out}\n`);
  return 0;
}

function oneOf<T extends string>(flag: string, given: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === given);
  if (found !== undefined) return found;
  throw new AttuneError('ARGUMENT_INVALID', { at: flag, found: given, expected: allowed.join(' or ') });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new AttuneError('FILE_NOT_FOUND', {
      at: `--pairs ${file}`,
      found: (cause as Error).message,
      cause,
    });
  }
}
