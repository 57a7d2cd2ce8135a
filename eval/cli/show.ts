/** attune show: the attention of every head over a prompt's tokens, without and with an intervention, as a page. */
import { basename, resolve } from 'node:path';
import { AttuneError } from '../../errors.ts';
import type { AttunedModel, Intervention } from '../../hooks/model/index.ts';
import { likeliest, packedPattern, type TokenViewSetting } from '../reports/token-view/data.ts';
import { tokenViewPage } from '../reports/token-view/page.ts';
import { writeWhole } from '../write-whole.ts';
import { type Arguments, helpText, readArguments, type Usage } from './arguments.ts';
import type { CalibrationModel } from './calibration-model.ts';
import { parametersOf } from './eval-options.ts';
import { MODEL_FLAGS, modelOptionsOf } from './model-flags.ts';

const USAGE: Usage = {
  command: 'show',
  summary:
    'attention over the tokens of a prompt by layer and head, before and after an intervention, as a page',
  flags: {
    model: { type: 'string', value: '<folder|id>', description: 'a decoder in Hub layout' },
    prompt: { type: 'string', value: '<text>', description: 'needed; what is read' },
    intervention: { type: 'string', value: '<name>', description: 'a method, shown beside the baseline' },
    params: { type: 'string', value: '<json>', description: 'of the intervention; default: its own' },
    out: { type: 'string', value: '<file.html>', description: 'needed; where the page is written' },
    ...MODEL_FLAGS,
    json: { type: 'boolean', description: 'one JSON document on stdout: {out, tokens, settings}' },
  },
  examples: [
    "attune show --model models/tiny --prompt 'The capital of France is' --out page.html",
    "attune show --model models/tiny --prompt 'The capital of France is' --intervention zerotuning --params '{\"gamma\":3}' --out page.html",
  ],
};

/** Bytes of attention that a page holds for a setting; browsers open such files at once. */
const LIMIT = 2 ** 26;

/** @throws AttuneError ARGUMENT_*, INTERVENTION_*, SPEC_INVALID, MODEL_*, SHOW_TOO_LONG, RUN_WRITE */
export async function showCommand(
  argv: readonly string[],
  stdout: { write(text: string): unknown } = process.stdout,
): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    stdout.write(helpText(USAGE));
    return 0;
  }
  const [name, prompt, out] = ['model', 'prompt', 'out'].map((flag) => needed(args, flag)) as [
    string,
    string,
    string,
  ];
  const intervention = await interventionOf(args);

  // The library that runs models is large, and what is asked has been checked before it is loaded.
  const { loadCalibrationModel } = await import('./calibration-model.ts');
  await using loaded = await loadCalibrationModel(name, modelOptionsOf(args));
  const ids = loaded.language.encode(prompt);
  const { decoder } = loaded.model.attune.facts;
  const heads = Math.max(...decoder.map(({ numHeads }) => numHeads));
  checkLength(decoder.length * heads * ids.length ** 2);
  const settings: TokenViewSetting[] = [];
  for (const one of intervention ? [undefined, intervention] : [undefined]) {
    settings.push(await settingOf(loaded, ids, heads, one));
  }
  const tokens = ids.map((id) => loaded.tokenizer.decode([id]));
  const title = basename(resolve(name));
  writeWhole(out, tokenViewPage({ title, tokens, layers: decoder.length, heads, settings }));
  const report = { out, tokens, settings: settings.map(({ pattern: _, ...setting }) => setting) };
  stdout.write(args.flag('json') ? `${JSON.stringify(report)}\n` : `${tokens.length} tokens, page: ${out}\n`);
  return 0;
}

function needed(args: Arguments, flag: string): string {
  const value = args.text(flag);
  if (value) return value;
  throw new AttuneError('ARGUMENT_MISSING', {
    expected: `--${flag}`,
    hint: 'attune show --help shows examples',
  });
}

async function interventionOf(args: Arguments): Promise<Intervention | undefined> {
  const name = args.text('intervention');
  const params = args.text('params');
  if (name === undefined && params !== undefined) {
    throw new AttuneError('ARGUMENT_MISSING', { found: '--params alone', expected: '--intervention' });
  }
  if (name === undefined) return undefined;
  const { interventionNamed } = await import('../../interventions/index.ts');
  return interventionNamed(name)(parametersOf(params));
}

/** @throws AttuneError SHOW_TOO_LONG */
function checkLength(bytes: number): void {
  if (bytes <= LIMIT) return;
  throw new AttuneError('SHOW_TOO_LONG', {
    at: '--prompt',
    found: `${Math.round(bytes / 2 ** 20)} MiB of attention`,
    expected: `at most ${LIMIT / 2 ** 20} MiB in a page`,
    hint: 'Take a shorter prompt; attune tap writes attention of any length.',
  });
}

/** One run of the model: every head's attention, and what comes next. */
async function settingOf(
  { model, tokenizer }: CalibrationModel,
  ids: readonly number[],
  heads: number,
  intervention: Intervention | undefined,
): Promise<TokenViewSetting> {
  const { Tensor } = await import('@huggingface/transformers');
  const shape = [1, ids.length];
  const inputs = {
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), shape),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), shape),
  };
  const view = (model as unknown as AttunedModel).with(intervention ? [intervention] : []);
  const { output, cache } = await view.runWithCache(inputs, 'blocks.*.attn.hook_pattern');
  const { dims, data } = output.logits as { dims: readonly [number, number, number]; data: Float32Array };
  return {
    label: intervention?.intervention ?? 'baseline',
    ...(intervention && { specification: intervention.toJSON() }),
    pattern: packedPattern([...cache.values()], heads),
    next: likeliest(data.subarray((dims[1] - 1) * dims[2], dims[1] * dims[2]), (token) =>
      tokenizer.decode([token]),
    ),
  };
}
