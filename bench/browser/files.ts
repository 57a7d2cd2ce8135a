/** Where a page's models may come from, and what may go wrong with them. Runs in a page alone. */
import { AutoModelForCausalLM, AutoTokenizer, env, type Tensor } from '@huggingface/transformers';
import { folderCache } from '../../hooks/index.ts';
import { type AttunedModel, attune, isAttuneError, wrap, zeroTuning } from '../../index.ts';
import { PROMPT, type Tokens } from './scenario.ts';

/** What works, by what it is: ids of tokens, baseline and then ZeroTuning. */
export const SOURCES = [
  'Hub id',
  'cache of transformers.js, without a network',
  'wrap, from that cache',
  'address',
  'single file',
  'data file of another form',
  'two data files, one of 17 MiB',
  'picked folder',
  'OPFS, from the Hub',
  'OPFS, without a network',
] as const;

/** Settings of one source on top of those that hold for all. */
type Env = Partial<Record<keyof typeof env, unknown>>;

const UNREACHABLE: Env = {
  fetch: async () => {
    throw new TypeError('Failed to fetch');
  },
};

const usual: Env = { fetch: env.fetch };

/** The Hub of the check and no other place. @param hub its origin */
function from(hub: string, settings: Env = {}): void {
  Object.assign(env, {
    ...usual,
    allowLocalModels: false,
    allowRemoteModels: true,
    remoteHost: `${hub}/`,
    remotePathTemplate: '{model}/resolve/{revision}/',
    useBrowserCache: false,
    useCustomCache: false,
    customCache: null,
    ...settings,
  });
}

type Loading = Readonly<Record<string, unknown>>;

async function tokensOf(id: string, options: Loading = {}, wrapped = false): Promise<number[]> {
  const tokenizer = await AutoTokenizer.from_pretrained(id);
  const all = { dtype: 'fp32', device: 'wasm', ...options } as const;
  const model = wrapped
    ? await wrap((await AutoModelForCausalLM.from_pretrained(id, all as never)) as never, id)
    : await attune(AutoModelForCausalLM, id, all as never);
  try {
    return await written(model as never, tokenizer(PROMPT) as object);
  } finally {
    await (model as { dispose(): Promise<unknown> }).dispose();
  }
}

/** The second generation needs another graph, for which weights are read again. */
async function written(
  model: AttunedModel & { generate(options: object): Promise<unknown> },
  inputs: object,
): Promise<number[]> {
  const tokens: number[] = [];
  for (const interventions of [[], [zeroTuning({ gamma: 20 })]]) {
    const options = { ...inputs, max_new_tokens: 8, do_sample: false, eos_token_id: -1, interventions };
    const output = (await model.generate(options)) as Tensor;
    tokens.push(...(output.tolist() as bigint[][])[0]!.slice(-8).map(Number));
  }
  return tokens;
}

/** As a visitor picks it. */
async function pickedFiles(hub: string): Promise<File[]> {
  const names = [
    'config.json',
    'generation_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'onnx/model.onnx',
    'onnx/model.onnx_data',
  ];
  return Promise.all(
    names.map(async (name) => {
      const blob = await (await fetch(`${hub}/check/whole/resolve/main/${name}`)).blob();
      const file = new File([blob], name.split('/').pop()!);
      return Object.defineProperty(file, 'webkitRelativePath', { value: `picked/${name}` });
    }),
  );
}

const directory = async (name: string): Promise<FileSystemDirectoryHandle> =>
  (await navigator.storage.getDirectory()).getDirectoryHandle(name, { create: true });

export type Source = (typeof SOURCES)[number];

/** @param hub origin of a Hub that lets the page read */
export async function sourceTokens(hub: string, name: Source): Promise<Tokens> {
  const id = 'check/whole';
  const kept = { useCustomCache: true, customCache: folderCache(await directory('whole'), id) };
  const again = { useBrowserCache: true, ...UNREACHABLE };
  const picked = folderCache(await pickedFiles(hub), 'picked');
  const work: Record<Source, readonly [where: Env, work: () => Promise<number[]>]> = {
    'Hub id': [{ useBrowserCache: true }, () => tokensOf(id)],
    'cache of transformers.js, without a network': [again, () => tokensOf(id)],
    'wrap, from that cache': [again, () => tokensOf(id, {}, true)],
    address: [
      { remoteHost: `${hub}/check/`, remotePathTemplate: '{model}/resolve/main/' },
      () => tokensOf('whole'),
    ],
    'single file': [{}, () => tokensOf(id, { model_file_name: 'model_gqa', dtype: 'q4' })],
    'data file of another form': [{}, () => tokensOf(id, { model_file_name: 'model_gqa' })],
    'two data files, one of 17 MiB': [{}, () => tokensOf('check/parts')],
    'picked folder': [
      { useCustomCache: true, customCache: picked, ...UNREACHABLE },
      () => tokensOf('picked'),
    ],
    'OPFS, from the Hub': [kept, () => tokensOf(id)],
    'OPFS, without a network': [{ ...kept, ...UNREACHABLE }, () => tokensOf(id)],
  };
  const [where, load] = work[name];
  from(hub, where);
  return { [name]: await load() };
}

/** What goes wrong, by what it is, and the code of the error that says so. */
export const FAULTS = {
  'no WebGPU': 'WEBGPU_MISSING',
  'blocked CORS': 'MODEL_LOAD',
  'no such model': 'MODEL_LOAD',
  'more than wasm holds': 'MODEL_TOO_LARGE',
  'storage full': 'STORAGE_FULL',
  'nothing kept of it': 'nothing',
} as const;

async function codeOf(where: readonly [hub: string, settings?: Env], work: () => Promise<unknown>) {
  from(...where);
  try {
    await work();
    return 'no error';
  } catch (error) {
    return isAttuneError(error) ? error.code : String(error);
  }
}

/** A directory of a browser that has no room left after some bytes. */
const fullDirectory = (real: FileSystemDirectoryHandle): FileSystemDirectoryHandle =>
  new Proxy(real, {
    get: (target, name) => {
      if (name !== 'getFileHandle') return Reflect.get(target, name).bind(target);
      return async (path: string, options: object) => {
        const file = await target.getFileHandle(path, options);
        const full = () => {
          throw new DOMException('no room', 'QuotaExceededError');
        };
        return Object.assign(Object.create(file), {
          getFile: () => file.getFile(),
          createWritable: async () => new WritableStream({ write: full }),
        });
      };
    },
  });

/** @param closed origin of a Hub that lets no page read */
export async function faultCodes(hub: string, closed: string): Promise<Readonly<Record<string, string>>> {
  const load = (id: string, options: Loading = {}) =>
    attune(AutoModelForCausalLM, id, { dtype: 'fp32', device: 'wasm', ...options } as never);
  const huge: Env = {
    fetch: async (address: string, init?: RequestInit) =>
      address.endsWith('.onnx_data')
        ? new Response('', { headers: { 'content-length': '5000000000' } })
        : fetch(address, init),
  };
  const full = fullDirectory(await directory('full'));
  const cache = folderCache(full, 'check/whole');
  return {
    'no WebGPU': await codeOf([hub], () => load('check/whole', { device: 'webgpu' })),
    'blocked CORS': await codeOf([closed], () => load('check/whole')),
    'no such model': await codeOf([hub], () => load('check/nothing')),
    'more than wasm holds': await codeOf([hub, huge], () =>
      load('check/whole', { progress_callback: () => undefined }),
    ),
    'storage full': await codeOf([hub], () => cache.put('/check/whole/config.json', new Response('{}'))),
    'nothing kept of it':
      (await cache.match('/check/whole/config.json')) === undefined ? 'nothing' : 'something',
  };
}

/** A file whose second half never comes. */
export async function beginKeeping(): Promise<never> {
  const cache = folderCache(await directory('cut'), 'check/cut');
  const half = new ReadableStream({ start: (to) => to.enqueue(new Uint8Array(1000)) });
  await cache.put('/check/cut/config.json', new Response(half));
  throw new Error('it was kept');
}

export async function whatIsKept(): Promise<string> {
  const cache = folderCache(await directory('cut'), 'check/cut');
  return (await cache.match('/check/cut/config.json')) === undefined ? 'nothing' : 'something';
}
