/** The options of loading and wrapping: ours, those of transformers.js, and what is neither. */
import { AttuneError, editDistance, nearest } from '../../errors.ts';
import type { KernelOptions } from '../compile/index.ts';
import type { Runtime, RuntimeName } from '../session/index.ts';
import { asDtype, type Dtype } from './files.ts';
import type { GivenInterventions, InterventionKind } from './intervention.ts';
import { kindOf } from './kind-of.ts';
import type { UntouchedRuns } from './live-session.ts';

/** attune's own options. */
export interface AttuneOptions {
  /** In force from the start. */
  readonly interventions?: GivenInterventions;
  /** Kinds to compile in so that switching to them later builds nothing, as `pine.kind`; default: those of `interventions`. */
  readonly prepare?: readonly InterventionKind[];
  /** Correct left padding on GroupQueryAttention exports, from the first padded batch on; default true. */
  readonly padding?: boolean;
  /** Session to hook; default `decoder_model_merged`, else `model`. */
  readonly session?: string;
  /**
   * What runs the hooked session: 'native' (attune's addon, caches in native memory), 'onnxruntime' (that of your transformers.js),
   * 'wasm' (onnxruntime-web), or a runtime of your own. Default: native in Node where the addon was built, else onnxruntime;
   * `model.attune.runtime` says which, and why.
   */
  readonly runtime?: RuntimeName | Runtime;
  /**
   * How attention is computed: which lowering, and how many bytes of scores attention that is written out may hold at a
   * time. Default: the lowering measured cheapest (kernels/costs), 16 MiB.
   */
  readonly kernels?: KernelOptions;
  /**
   * Give exports that lack it the input num_logits_to_keep, int64 [], which recent exports have: transformers.js then asks for
   * the last position's logits while it generates, and for all of them (0) otherwise. Prompts take less time and memory; logits
   * may differ in their last bits from those of all positions together. Default false.
   */
  readonly numLogitsToKeep?: boolean;
  /** Stands around runs that nothing changes, for those who remember what came of them. */
  readonly untouchedRuns?: UntouchedRuns;
}

/** Options of transformers.js that say which files a model is made from. */
export interface FileChoice {
  /** Passed to InferenceSession.create. */
  readonly session_options?: Readonly<Record<string, unknown>>;
  /** Folder of the graphs; default 'onnx'. */
  readonly subfolder?: string;
  /** Branch, tag or commit on the Hub; default 'main'. */
  readonly revision?: string;
  /** Default: env.cacheDir of your transformers.js. */
  readonly cache_dir?: string | null;
  /** File name of the graph of the `model` session, without dtype suffix and .onnx. */
  readonly model_file_name?: string | null;
}

/** Options of wrap. */
export interface AttachOptions extends AttuneOptions, FileChoice {}

/** Options of loading: attune's, and those of transformers.js's from_pretrained. */
export interface LoadOptions extends AttachOptions {
  /** Number type of the weights, for all sessions or for each: 'fp32', 'q4', { decoder_model_merged: 'q4' }, … */
  readonly dtype?: Dtype | 'auto' | Readonly<Record<string, Dtype | 'auto'>> | null;
  /** 'cpu', 'webgpu', 'cuda', …, for all sessions or for each. */
  readonly device?: string | Readonly<Record<string, string>> | null;
  /** Told of every file that is fetched, as by transformers.js. */
  // biome-ignore lint/suspicious/noExplicitAny: typed by transformers.js
  readonly progress_callback?: ((progress: any) => void) | null;
  /** A configuration in place of the model's config.json. */
  // biome-ignore lint/suspicious/noExplicitAny: typed by transformers.js
  readonly config?: any;
  /** Never go to the network. */
  readonly local_files_only?: boolean;
  /** Which graphs have their weights in files of their own; default what config.json says. */
  readonly use_external_data_format?: boolean | number | Readonly<Record<string, boolean | number>> | null;
}

const OURS = [
  'interventions',
  'prepare',
  'padding',
  'session',
  'runtime',
  'kernels',
  'numLogitsToKeep',
  'untouchedRuns',
] as const satisfies readonly (keyof AttuneOptions)[];

const FILES = [
  'session_options',
  'subfolder',
  'revision',
  'cache_dir',
  'model_file_name',
] as const satisfies readonly (keyof FileChoice)[];

const THEIRS = [
  'dtype',
  'device',
  'progress_callback',
  'config',
  'local_files_only',
  'use_external_data_format',
] as const;

/** Of index.ts. */
const ABOVE = ['profile'] as const;

/** What from_pretrained of transformers.js is not given. */
export const NOT_THEIRS: ReadonlySet<string> = new Set([...OURS, ...ABOVE]);

/**
 * @param at the call, for messages: 'attune', 'attune.wrap'
 * @throws AttuneError OPTION_UNKNOWN for a name near one that exists, OPTION_INVALID for a value of the wrong kind, DTYPE_UNKNOWN
 */
export function checkOptions(options: unknown, at: 'attune' | 'attune.wrap'): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new AttuneError('OPTION_INVALID', {
      at,
      found: kindOf(options),
      expected: 'an object of options',
      hint: "Write { dtype: 'q4', interventions: [zeroTuning({ gamma: 1.4 })] }.",
    });
  }
  checkNames(options as Record<string, unknown>, at);
  checkValues(options as Record<string, unknown>, at);
}

function checkNames(options: Readonly<Record<string, unknown>>, at: string): void {
  const names: readonly string[] = [...OURS, ...FILES, ...THEIRS, ...ABOVE];
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const [candidate] = nearest(plain(name), names.map(plain), 1);
    const meant = names.find((each) => plain(each) === candidate)!;
    // What is far from every name is passed on: a newer transformers.js may have options that this list lacks.
    if (!isNear(plain(name), plain(meant))) continue;
    throw new AttuneError('OPTION_UNKNOWN', {
      at,
      found: `option "${name}"`,
      expected: `"${meant}"`,
      hint: `Options of attune: ${OURS.join(', ')}. All others are those of from_pretrained in transformers.js.`,
    });
  }
}

/** Without what separates words. */
const plain = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();

/** A third of the letters may differ, or one name begins as the other. */
function isNear(name: string, meant: string): boolean {
  if (name.length >= 4 && (meant.startsWith(name) || name.startsWith(meant))) return true;
  return editDistance(name, meant) <= Math.floor(Math.min(name.length, meant.length) / 3);
}

type Check = (value: unknown) => boolean;

const isBoolean: Check = (value) => typeof value === 'boolean';
const isString: Check = (value) => typeof value === 'string' && value !== '';
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What each option takes, and how it is written. Undefined stands for the default everywhere. */
const VALUES: Readonly<Record<string, readonly [check: Check, expected: string]>> = {
  interventions: [Array.isArray, 'a list: interventions: [zeroTuning({ gamma: 1.4 })]'],
  prepare: [Array.isArray, 'a list of kinds: prepare: [pine.kind]'],
  padding: [isBoolean, 'true or false'],
  session: [isString, 'the name of a session, such as "model"'],
  runtime: [
    (value) => isString(value) || (isObject(value) && 'InferenceSession' in (value as object)),
    'native, onnxruntime, wasm, or the module of an ONNX Runtime, with InferenceSession and Tensor',
  ],
  kernels: [isObject, 'an object, such as { scoreBytes: 16 * 2 ** 20 }'],
  numLogitsToKeep: [isBoolean, 'true or false'],
  untouchedRuns: [(value) => typeof value === 'function', 'a function'],
  session_options: [isObject, 'an object of options for InferenceSession.create'],
  subfolder: [(value) => typeof value === 'string', 'the name of a folder, such as "onnx"'],
  revision: [isString, 'a branch, tag or commit'],
  cache_dir: [(value) => value === null || isString(value), 'the path of a folder'],
  model_file_name: [
    (value) => value === null || isString(value),
    'a file name without dtype suffix and .onnx',
  ],
  local_files_only: [isBoolean, 'true or false'],
};

function checkValues(options: Readonly<Record<string, unknown>>, at: string): void {
  for (const [name, [check, expected]] of Object.entries(VALUES)) {
    const value = options[name];
    if (value === undefined || check(value)) continue;
    throw new AttuneError('OPTION_INVALID', {
      at: `${at}, option "${name}"`,
      found: kindOf(value),
      expected,
    });
  }
  const { dtype, prepare } = options;
  for (const one of isObject(dtype) ? Object.values(dtype as object) : [dtype ?? 'auto']) {
    if (one !== 'auto') asDtype(one, `${at}, option "dtype"`);
  }
  for (const one of (prepare ?? []) as unknown[]) checkKind(one, at);
}

/** A kind goes by its factory's property: pine.kind. */
function checkKind(one: unknown, at: string): void {
  if (isObject(one) && typeof (one as InterventionKind).plan === 'function') return;
  const kind = (one as { kind?: InterventionKind } | undefined | null)?.kind;
  throw new AttuneError('OPTION_INVALID', {
    at: `${at}, option "prepare"`,
    found: kindOf(one),
    expected: 'kinds of interventions',
    hint: kind
      ? 'Write its kind, which is a property of the function that makes it: prepare: [pine.kind].'
      : 'Write prepare: [pine.kind]; what stands in interventions is prepared without being named.',
  });
}
