/** attune tap: run a model once and write what flows at chosen hook points. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AttuneError } from '../../errors.ts';
import { checkFeeds } from '../../hooks/model/index.ts';
import {
  completeFeeds,
  createSession,
  isPadded,
  loadRuntime,
  type Nested,
  type OrtTensor,
} from '../../hooks/session/index.ts';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { locatePoints, selectNames } from '../../sites/points/index.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { findGraph, readConfig } from './graphs.ts';
import { encodeNpz } from './npz.ts';

const USAGE: Usage = {
  command: 'tap',
  summary: 'run a model and write activations at hook points',
  positionals: '<folder|file.onnx>',
  flags: {
    points: {
      type: 'string',
      value: '<glob>',
      multiple: true,
      description:
        "needed; hook points, such as 'blocks.*.attn.hook_pattern' (attune inspect --points lists them)",
    },
    out: {
      type: 'string',
      value: '<acts.npz|acts.json>',
      description: 'needed; where to write; the ending chooses the format',
    },
    input: {
      type: 'string',
      value: '<file.json|name=json>',
      multiple: true,
      description: 'inputs as nested arrays; masks, positions and an empty cache are filled in',
    },
    text: {
      type: 'string',
      value: '<prompt>',
      description: "tokenise a prompt with the folder's tokenizer.json",
    },
    file: { type: 'string', value: '<name>', description: 'which graph of the folder' },
    outputs: { type: 'boolean', description: 'also write the outputs of the model itself' },
    json: {
      type: 'boolean',
      description: 'one JSON document on stdout: {out, tensors}, without the numbers',
    },
  },
  examples: [
    "attune tap models/llama --text 'Once upon a time' --points 'blocks.*.attn.hook_pattern' --out acts.npz",
    "attune tap model.onnx --input 'input_ids=[[1,2,3]]' --points 'blocks.0.**' --out acts.json",
    "attune tap encoder.onnx --input inputs.json --points '**.hook_resid_post' --out acts.npz",
  ],
};

export async function tapCommand(argv: readonly string[]): Promise<number> {
  const args = readArguments(USAGE, argv);
  const target = args.positionals[0];
  if (args.flag('help') || target === undefined) {
    process.stdout.write(helpText(USAGE));
    return args.flag('help') ? 0 : 1;
  }
  const out = args.text('out');
  const globs = args.list('points');
  if (out === undefined || globs.length === 0) {
    throw new AttuneError('ARGUMENT_INVALID', {
      found: out === undefined ? 'no --out' : 'no --points',
      hint: 'attune tap --help shows examples.',
    });
  }
  if (!/\.(npz|json)$/.test(out)) {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: '--out',
      found: out,
      expected: 'a name ending in .npz or .json',
    });
  }
  const path = findGraph(target, args.text('file'));
  const file = await openModel(path);
  try {
    const config = readConfig(path);
    const recognition = recognise(file.model, { source: file.source, ...(config ? { config } : {}) });
    const points = locatePoints(recognition);
    const readable = points.filter(({ source }) => source.from !== 'nowhere').map(({ name }) => name);
    const names = new Set(selectNames(globs, readable));
    const taps = points.filter(({ name }) => names.has(name));
    const runtime = await loadRuntime('node');
    const given = { ...readInputs(args.list('input')), ...(await tokenise(args.text('text'), path)) };
    const feeds = completeFeeds(file.model.graph, given, runtime);
    checkFeeds(feeds, file.model.graph, config);
    const options = { runtime, padding: isPadded(feeds) };
    await using session = await createSession(file, recognition, { taps }, options);
    const written: Record<string, OrtTensor> = {};
    session.listen((values) => {
      for (const [name, tensor] of values) written[name] = tensor;
    });
    const outputs = await session.run(feeds);
    if (args.flag('outputs')) Object.assign(written, outputs);
    writeFileSync(out, out.endsWith('.npz') ? encodeNpz(written) : encodeJson(written));
    const shapes = Object.entries(written).map(([name, { dims }]) => `  ${name} [${dims.join(', ')}]`);
    process.stderr.write(`${shapes.join('\n')}\nwrote ${shapes.length} tensors to ${out}\n`);
    if (args.flag('json')) process.stdout.write(`${JSON.stringify({ out, tensors: describe(written) })}\n`);
    return 0;
  } finally {
    file.close();
  }
}

/** @throws AttuneError INPUT_MALFORMED naming the argument or file */
function readInputs(inputs: readonly string[]): Record<string, Nested> {
  const all: Record<string, Nested> = {};
  for (const input of inputs) {
    const inline = /^([\w./]+)=(.*)$/s.exec(input);
    const text = inline ? inline[2]! : existsSync(input) ? readFileSync(input, 'utf8') : undefined;
    if (text === undefined)
      throw new AttuneError('FILE_NOT_FOUND', { at: `--input ${input}`, found: 'no such file' });
    try {
      const value = JSON.parse(text) as Nested | Record<string, Nested>;
      if (inline) all[inline[1]!] = value as Nested;
      else Object.assign(all, value);
    } catch (cause) {
      throw new AttuneError('INPUT_MALFORMED', {
        at: `--input ${input}`,
        found: (cause as Error).message,
        expected: 'JSON: nested arrays by input name',
        cause,
      });
    }
  }
  return all;
}

async function tokenise(text: string | undefined, graph: string): Promise<Record<string, Nested>> {
  if (text === undefined) return {};
  const folder = [dirname(resolve(graph)), dirname(dirname(resolve(graph)))].find((candidate) =>
    existsSync(resolve(candidate, 'tokenizer.json')),
  );
  if (folder === undefined) {
    throw new AttuneError('TOKENIZER_MISSING', {
      at: graph,
      found: 'no tokenizer.json beside the model',
      hint: "Give token ids: --input 'input_ids=[[1,2,3]]'.",
    });
  }
  const { AutoTokenizer } = await import('@huggingface/transformers');
  const tokenizer = await AutoTokenizer.from_pretrained(folder, { local_files_only: true });
  return { input_ids: [tokenizer.encode(text)] };
}

const describe = (tensors: Readonly<Record<string, OrtTensor>>) =>
  Object.entries(tensors).map(([name, { dims, type }]) => ({ name, dims, type }));

function encodeJson(tensors: Readonly<Record<string, OrtTensor>>): string {
  const plain = Object.fromEntries(
    Object.entries(tensors).map(([name, { dims, type, data }]) => [
      name,
      { dims, type, data: Array.from(data as ArrayLike<number | bigint>, Number) },
    ]),
  );
  // JSON has no -Infinity; masked scores are written as null.
  return JSON.stringify(plain);
}
