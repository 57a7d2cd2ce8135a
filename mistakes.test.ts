/**
 * Some sixty-five slips of a first afternoon, through the command line and the API: each ends in a typed error whose message says what to do.
 * Messages are what a terminal shows; the last column is the part that helps.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer, env } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from './eval/cli/commands.ts';
import { act, attune, defineIntervention, isAttuneError, pine, zeroTuning } from './index.ts';

const repository = fileURLToPath(new URL('.', import.meta.url));
const models = join(repository, 'testbed/models');
const lm = join(models, 'worlds-lm');
const root = mkdtempSync(join(tmpdir(), 'attune-mistakes-'));
const path = (name: string) => join(root, name);

const { localModelPath, allowRemoteModels, remoteHost } = env;
beforeAll(() => {
  // A Hub that does not answer.
  Object.assign(env, {
    localModelPath: `${models}/`,
    allowRemoteModels: true,
    remoteHost: 'http://127.0.0.1:9/',
  });
  folder('no-tokenizer', ['config.json', 'onnx/model.onnx', 'onnx/model.onnx_data']);
  folder('cut-off', ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx_data']);
  const graph = readFileSync(join(lm, 'onnx/model.onnx'));
  writeFileSync(path('cut-off/onnx/model.onnx'), graph.subarray(0, graph.length >> 1));
  folder('no-weights', ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx']);
  folder('no-graph', ['config.json', 'tokenizer.json']);
  writeFileSync(path('README.md'), '# Not a model\n');
  const rows = ['sad', 'happy'].map((mood) => JSON.stringify({ text: mood, mood }));
  writeFileSync(path('moods.jsonl'), rows.join('\n'));
  const task = {
    name: 'moods',
    output: 'multiple_choice',
    source: { file: 'moods.jsonl' },
    fields: { text: 'string', mood: 'string' },
    prompt: '{{ text }}',
    choices: ['sad', 'happy'],
    target: "{{ 1 if mood == 'happy' else 0 }}",
    metrics: ['acc'],
  };
  writeFileSync(path('moods.json'), JSON.stringify(task));
});
afterAll(() => {
  Object.assign(env, { localModelPath, allowRemoteModels, remoteHost });
  rmSync(root, { recursive: true });
});

/** A part of worlds-lm. */
function folder(name: string, files: readonly string[]): void {
  mkdirSync(join(path(name), 'onnx'), { recursive: true });
  for (const file of files) copyFileSync(join(lm, file), join(path(name), file));
}

async function failureOf(work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was refused');
}

function refused(failure: Error, code: string, helps: RegExp): void {
  expect(isAttuneError(failure) ? failure.code : failure.stack).toBe(code);
  expect(failure.message).toMatch(helps);
}

const evaluate = (...argv: readonly string[]) => ['eval', '--model', lm, ...argv];
const choice = (...argv: readonly string[]) =>
  evaluate('--task', 'worlds-choice', '--limit', '2', '--out', path('run'), ...argv);
const under = (name: string, params?: string) =>
  choice('--intervention', name, ...(params === undefined ? [] : ['--params', params]));
const tap = (...argv: readonly string[]) => [
  'tap',
  lm,
  '--text',
  'a',
  '--points',
  '**.hook_z',
  '--out',
  path('a.npz'),
  ...argv,
];

type Row = readonly [slip: string, argv: () => readonly string[], code: string, helps: RegExp];

const COMMANDS: readonly Row[] = [
  [
    'a folder that is none',
    () => ['eval', '--model', 'nowhere/model', '--task', 'worlds-choice'],
    'MODEL_LOAD',
    /a folder of that name, or to reach .* give its folder/,
  ],
  [
    'a Hub id without a network',
    () => ['eval', '--model', 'onnx-community/x', '--task', 'worlds-choice'],
    'MODEL_LOAD',
    /download the model once and give its folder/,
  ],
  [
    'a path that is none',
    () => ['eval', '--model', './nowhere', '--task', 'worlds-choice'],
    'MODEL_LOAD',
    /no folder \.\/nowhere .* Check the path/,
  ],
  [
    'a misspelt task',
    () => evaluate('--task', 'worlds-document'),
    'TASK_UNKNOWN',
    /Nearest: worlds-documents,/,
  ],
  ['a misspelt intervention', () => under('zerotunin'), 'INTERVENTION_UNKNOWN', /Nearest: zerotuning\./],
  [
    'no parameters where some are needed',
    () => under('zerotuning'),
    'SPEC_INVALID',
    /zerotuning\.gamma: found nothing but expected a number > 0 or .*γ > 0: one number/,
  ],
  [
    'no heads for ACT',
    () => under('act'),
    'SPEC_INVALID',
    /act\.heads: found nothing but expected "all" or a list of/,
  ],
  [
    'parameters that are no JSON',
    () => under('zerotuning', '{gamma:1.4}'),
    'ARGUMENT_INVALID',
    /--params: found \{gamma:1\.4\} but expected a JSON object such as \{"gamma":1\.4\}/,
  ],
  [
    'a misspelt parameter',
    () => under('zerotuning', '{"gama":1.4}'),
    'SPEC_INVALID',
    /"gama", .* Did you mean gamma\?/,
  ],
  [
    'a number as text',
    () => under('zerotuning', '{"gamma":"1.4"}'),
    'SPEC_INVALID',
    /gamma: found the text "1\.4" but expected a number > 0/,
  ],
  [
    'a number out of bounds',
    () => under('zerotuning', '{"gamma":-1}'),
    'SPEC_INVALID',
    /the number -1 .* expected a number > 0/,
  ],
  [
    'a layer that is none',
    () => under('zerotuning', '{"gamma":1.4,"layers":[9]}'),
    'LAYER_OUT_OF_RANGE',
    /layer 9 but expected 0 to 4/,
  ],
  ['a number type that is none', () => choice('--dtype', 'int4'), 'DTYPE_UNKNOWN', /Did you mean int8/],
  [
    'a number type without a file',
    () => choice('--dtype', 'fp16'),
    'MODEL_LOAD',
    /no file of dtype fp16 in .* Load with dtype: 'fp32' or dtype: 'q4'/,
  ],
  ['no task', () => evaluate(), 'ARGUMENT_MISSING', /expected --task\. attune eval --help/],
  [
    'a task without its data',
    () => evaluate('--task', 'boolq', '--data', path('nothing')),
    'DATA_FOLDER',
    /Name it with --data/,
  ],
  ['a misspelt flag', () => choice('--limt', '2'), 'ARGUMENT_UNKNOWN', /Did you mean --limit/],
  [
    'a limit in words',
    () => choice('--limit', 'two'),
    'ARGUMENT_INVALID',
    /--limit: found "two" but expected a whole number/,
  ],
  [
    'a limit of none',
    () => choice('--limit', '0'),
    'ARGUMENT_INVALID',
    /expected a whole number of at least 1/,
  ],
  [
    'pictures for a text model',
    () => evaluate('--task', 'worlds-existence-adversarial', '--limit', '2', '--out', path('run')),
    'SCORE_NO_VISION',
    /expected a vision-language model/,
  ],
  [
    'a method for pictures on a text model',
    () => under('vhr'),
    'INTERVENTION_REFUSED',
    /vhr: .* expected a vision-language model/,
  ],
  [
    'PINE on a task without parts',
    () => evaluate('--task', path('moods.json'), '--out', path('run'), '--intervention', 'pine'),
    'TASK_NO_DOCUMENTS',
    /Write the prompt as \{ prefix, parts, suffix \}/,
  ],
  [
    'tap: a misspelt point',
    () => tap('--points', 'blocks.*.attn.hook_paterns'),
    'HOOK_UNKNOWN',
    /Nearest: blocks\.0\.attn\.hook_pattern/,
  ],
  [
    'tap: a layer that is none',
    () => tap('--points', 'blocks.9.attn.hook_z'),
    'HOOK_UNKNOWN',
    /Nearest: blocks\.0\.attn\.hook_z/,
  ],
  [
    'tap: no inputs',
    () => ['tap', lm, '--points', '**.hook_z', '--out', path('a.npz')],
    'INPUT_MISSING',
    /Give input_ids, .* masks, positions and an empty cache are filled in/,
  ],
  [
    'tap: an ending that is none',
    () => tap('--out', path('a.csv')),
    'ARGUMENT_INVALID',
    /a name ending in \.npz or \.json/,
  ],
  [
    'tap: an input that is empty',
    () => ['tap', lm, '--points', '**.hook_z', '--out', path('a.npz'), '--input', 'ids='],
    'INPUT_MALFORMED',
    /expected JSON: nested arrays by input name/,
  ],
  [
    'tap: ragged rows',
    () => ['tap', lm, '--points', '**.hook_z', '--out', path('a.npz'), '--input', 'input_ids=[[1,2],[3]]'],
    'INPUT_RAGGED',
    /rows of different length but expected a rectangle/,
  ],
  [
    'tap: no tokenizer',
    () => ['tap', path('no-tokenizer'), '--text', 'a', '--points', '**.hook_z', '--out', path('a.npz')],
    'TOKENIZER_MISSING',
    /Give token ids: --input/,
  ],
  [
    'tap: a file that is cut off',
    () => ['tap', path('cut-off'), '--text', 'a', '--points', '**.hook_z', '--out', path('a.npz')],
    'ONNX_TRUNCATED',
    /fetch it again/,
  ],
  ['inspect: a file that is cut off', () => ['inspect', path('cut-off')], 'ONNX_TRUNCATED', /fetch it again/],
  [
    'inspect: a file that is no model',
    () => ['inspect', path('README.md')],
    'ONNX_MALFORMED',
    /is not an ONNX model/,
  ],
  [
    'inspect: a folder without a graph',
    () => ['inspect', path('no-graph')],
    'GRAPH_NOT_FOUND',
    /Point at a folder in Hub layout or at an \.onnx file/,
  ],
  [
    'eval: no tokenizer',
    () => ['eval', '--model', path('no-tokenizer'), '--task', 'worlds-choice'],
    'TOKENIZER_MISSING',
    /Put the model's tokenizer\.json .* there/,
  ],
  [
    'eval: a file that is cut off',
    () => [
      'eval',
      '--model',
      path('cut-off'),
      '--task',
      'worlds-choice',
      '--limit',
      '1',
      '--out',
      path('run'),
    ],
    'ONNX_TRUNCATED',
    /fetch it again/,
  ],
  [
    'eval: a graph without its weights',
    () => [
      'eval',
      '--model',
      path('no-weights'),
      '--task',
      'worlds-choice',
      '--limit',
      '1',
      '--out',
      path('run'),
    ],
    'EXTERNAL_DATA_MISSING',
    /Fetch model\.onnx_data too/,
  ],
  [
    'eval: a folder without a graph',
    () => [
      'eval',
      '--model',
      path('no-graph'),
      '--task',
      'worlds-choice',
      '--limit',
      '1',
      '--out',
      path('run'),
    ],
    'MODEL_LOAD',
    /no \.onnx file in .* Export the model first/,
  ],
  ['a misspelt device', () => choice('--device', 'webgpuu'), 'MODEL_LOAD', /webgpuu.* one of: .*cpu/],
  [
    'a profile that is none',
    () => choice('--profile', 'nothing.json'),
    'PROFILE_INVALID',
    /nothing\.json.* attune calibrate writes one/,
  ],
  [
    'a span that ends before it begins',
    () => under('pine', '{"documents":[[5,2]]}'),
    'DOCUMENT_SPANS',
    /expected start < end/,
  ],
  [
    'a gate on a metric that is none',
    () => choice('--gate', 'accuracy>=0.5'),
    'GATE_INVALID',
    /Nearest: acc/,
  ],
  [
    'a run that is none',
    () => ['compare', path('no-run'), path('no-run')],
    'RUN_MISSING',
    /Give the folder that was its --out/,
  ],
  [
    'a statistic that is none',
    () => ['heads', '--model', lm, '--statistic', 'sinks'],
    'STATISTIC_UNKNOWN',
    /Nearest: sink\./,
  ],
  [
    'calibrating what has nothing to calibrate',
    () => ['calibrate', '--model', lm, '--task', 'worlds-choice', '--intervention', 'pine'],
    'ARGUMENT_INVALID',
    /"pine" but expected zerotuning, act or var/,
  ],
  ['a misspelt command', () => ['evl'], 'COMMAND_UNKNOWN', /Did you mean eval\?/],
];

describe('attune', () => {
  test.each(COMMANDS)('%s', async (_, argv, code, helps) => {
    refused(await failureOf(() => runCommand(argv())), code, helps);
  });
});

describe('the API', async () => {
  env.localModelPath = `${models}/`;
  const tokenizer = await AutoTokenizer.from_pretrained(lm);
  const inputs = tokenizer('hello there');
  const model = await attune(AutoModelForCausalLM, lm, { dtype: 'fp32' });
  const loading = (id: unknown, options: unknown) =>
    attune(AutoModelForCausalLM, id as string, options as never);
  const few = { ...inputs, max_new_tokens: 2 };

  const CALLS: readonly (readonly [slip: string, call: () => unknown, code: string, helps: RegExp])[] = [
    [
      'a misspelt option',
      () => loading(lm, { intervention: [zeroTuning({ gamma: 2 })] }),
      'OPTION_UNKNOWN',
      /expected "interventions"/,
    ],
    [
      'a number type that is none',
      () => loading(lm, { dtype: 'int4' }),
      'DTYPE_UNKNOWN',
      /option "dtype": .* Did you mean int8/,
    ],
    [
      'a number type without a file',
      () => loading(lm, { dtype: 'q8' }),
      'MODEL_LOAD',
      /no file of dtype q8 in .* Load with dtype: 'fp32'/,
    ],
    [
      'a misspelt id',
      () => loading('worlds-ml', { dtype: 'fp32', local_files_only: true }),
      'MODEL_LOAD',
      /Did you mean worlds-lm\?/,
    ],
    [
      'no class',
      () => attune(lm as never, { dtype: 'fp32' } as never),
      'ARGUMENT_INVALID',
      /Write attune\(AutoModelForCausalLM, /,
    ],
    [
      'one intervention without brackets',
      () => model.use(zeroTuning({ gamma: 2 }) as never),
      'INTERVENTIONS_EXPECTED',
      /Put it in brackets/,
    ],
    [
      'a factory',
      () => model.use([zeroTuning] as never),
      'INTERVENTIONS_EXPECTED',
      /Call it with its parameters/,
    ],
    [
      'nothing',
      () => model.use(undefined as never),
      'INTERVENTIONS_EXPECTED',
      /\[\] for the untouched model/,
    ],
    [
      'a number for parameters',
      () => zeroTuning(1.4 as never),
      'SPEC_INVALID',
      /an object of parameters: \{ gamma, … \}/,
    ],
    [
      'text for a number',
      () => zeroTuning({ gamma: '1.4' } as never),
      'SPEC_INVALID',
      /found the text "1\.4" but expected a number > 0/,
    ],
    ['no heads', () => act({} as never), 'SPEC_INVALID', /act\.heads: found nothing but expected "all"/],
    [
      'a head that is none',
      () => model.use([act({ heads: [[9, 0]] })]),
      'LAYER_OUT_OF_RANGE',
      /layer 9 but expected 0 to 4/,
    ],
    [
      'a span past the prompt',
      () =>
        model.generate({
          ...few,
          interventions: [
            pine({
              documents: [
                [1, 2],
                [2, 900],
              ],
            }),
          ],
        }),
      'DOCUMENT_SPANS',
      /\[2, 900\), in a prompt of 5 tokens .* segmentPrompt/,
    ],
    [
      'a misspelt point',
      () => model.runWithCache(inputs, 'blocks.*.attn.pattern'),
      'HOOK_UNKNOWN',
      /Nearest: blocks\.0\.attn\.hook_pattern/,
    ],
    [
      'text for inputs',
      () => model.runWithCache('hello' as never, 'blocks.*.attn.hook_pattern'),
      'ARGUMENT_INVALID',
      /the text "hello" .* model\(tokenizer\('text'\)\)/,
    ],
    [
      'a hook of another length',
      () =>
        model.runWithHooks([['blocks.0.attn.hook_z', () => new Float32Array(3)]], (view) =>
          view.generate(few),
        ),
      'HOOK_SHAPE',
      /3 numbers but expected a Float32Array of 640 .* data\.map/,
    ],
    [
      'a hook that returns a list',
      () =>
        model.runWithHooks([['blocks.0.attn.hook_z', ({ data }) => Array.from(data) as never]], (view) =>
          view.generate(few),
        ),
      'HOOK_SHAPE',
      /a list of 640 .* Float32Array\.from\(list\)/,
    ],
    [
      'wrapping what has attune already',
      () => attune.wrap(model, { interventions: [] }),
      'WRAPPED_TWICE',
      /Use it as it is: model\.use/,
    ],
    [
      'wrapping it by its folder',
      () => attune.wrap(model, lm),
      'WRAPPED_TWICE',
      /Use it as it is: model\.use/,
    ],
    [
      'wrapping a pipeline',
      () => attune.wrap({ model, task: 'text-generation' } as never),
      'ARGUMENT_INVALID',
      /attune\.wrap\(pipe\.model\)/,
    ],
    [
      'an intervention without its parts',
      () => defineIntervention({ name: 'mine' } as never),
      'DEFINITION_INVALID',
      /defineIntervention of mine, "stage": found undefined/,
    ],
    [
      'a model that is disposed of',
      async () => {
        await model.dispose();
        return model.generate(few);
      },
      'SESSION_RELEASED',
      /load it again/i,
    ],
  ];

  test.each(CALLS)('%s', async (_, call, code, helps) => {
    refused(await failureOf(call), code, helps);
  });

  test('JSON in place of an intervention is none', async () => {
    await using other = await attune(AutoModelForCausalLM, lm, { dtype: 'fp32' });
    other.use([{ intervention: 'zerotuning', gamma: 2 }]);
    expect(other.attune.interventions.map(({ intervention }) => intervention)).toEqual(['zerotuning']);
  });
});

test.each(['--version', '-v'])('%s is no mistake', async (flag) => {
  expect(await runCommand([flag])).toBe(0);
});
