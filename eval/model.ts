/**
 * The model side of evaluation, in one file: what the runner needs of a model and of an intervention, and how both are
 * made from what the user writes.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer, env } from '@huggingface/transformers';
import { AttuneError, isAttuneError } from '../errors.ts';
import {
  type AttunedModel,
  from_pretrained,
  type Intervention,
  type TransformersModel,
} from '../hooks/model/index.ts';
import { interventionFromJSON } from '../interventions/index.ts';
import { type CausalTokenizer, causalLanguageModel } from './scoring/causal-language-model.ts';
import type { LanguageModel } from './scoring/language-model.ts';
import type { CausalModel } from './scoring/pass.ts';

/** What the runner needs of a specification. */
export type EvalIntervention = Pick<Intervention, 'hash' | 'toJSON'>;

export interface EvalModel {
  /** As the user named it. */
  readonly name: string;
  /** Changes when anything changes that scores depend on: weights, tokenizer, number type, device. */
  readonly fingerprint: string;
  /** Name → version of the libraries that run it. */
  readonly software: Readonly<Record<string, string>>;
  /** Scores under the interventions in force. */
  readonly language: LanguageModel;
  /** Interventions from the next call on; none: the untouched model. */
  use(interventions: readonly EvalIntervention[]): void;
  dispose(): Promise<void>;
}

export interface ModelOptions {
  /** Number type of the weights, as transformers.js names its files. Default 'fp32'. */
  dtype?: string | undefined;
  /** Default 'cpu'. */
  device?: string | undefined;
}

/**
 * @param idOrFolder a folder in Hub layout, or a Hub id.
 * @throws AttuneError MODEL_LOAD, MODEL_NO_PREFIX_TOKEN
 */
export async function loadEvalModel(idOrFolder: string, options: ModelOptions = {}): Promise<EvalModel> {
  const { dtype = 'fp32', device = 'cpu' } = options;
  const local = existsSync(idOrFolder);
  if (!local && /^[./~]/.test(idOrFolder)) {
    throw new AttuneError('MODEL_LOAD', { at: idOrFolder, found: 'no such folder', expected: LAYOUT });
  }
  const path = local ? resolve(idOrFolder) : idOrFolder;
  let model: TransformersModel & AttunedModel;
  let tokenizer: CausalTokenizer;
  try {
    const where = { local_files_only: local };
    tokenizer = await AutoTokenizer.from_pretrained(path, where);
    model = await from_pretrained(AutoModelForCausalLM as never, path, { ...where, dtype, device });
  } catch (cause) {
    if (isAttuneError(cause)) throw cause;
    throw new AttuneError('MODEL_LOAD', {
      at: idOrFolder,
      found: cause instanceof Error ? cause.message : String(cause),
      expected: LAYOUT,
      cause,
    });
  }
  const weights = local ? await hashFiles(path, dtype) : `hub:${idOrFolder}`;
  return {
    name: idOrFolder,
    fingerprint: createHash('sha256').update(`${weights}/${dtype}/${device}`).digest('hex'),
    software: { 'transformers.js': env.version, onnxruntime: onnxruntime.version },
    language: causalLanguageModel(model as unknown as CausalModel, tokenizer),
    use: (interventions) => model.use(interventions.map((one) => interventionFromJSON(one.toJSON()))),
    async dispose() {
      await model.dispose();
    },
  };
}

const onnxruntime = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };

const LAYOUT = 'a decoder model in Hub layout (config.json, tokenizer.json, onnx/)';

/** @throws AttuneError INTERVENTION_UNKNOWN, SPEC_INVALID */
export function readIntervention(json: Record<string, unknown>): EvalIntervention {
  return interventionFromJSON(json);
}

/** File name endings of transformers.js's number types. */
const SUFFIXES: Record<string, string> = { fp32: '', q8: '_quantized' };

/** SHA-256 over configuration, tokenizer and the weight files of one number type, in hexadecimal. */
async function hashFiles(folder: string, dtype: string): Promise<string> {
  const suffix = SUFFIXES[dtype] ?? `_${dtype}`;
  const onnx = join(folder, 'onnx');
  const weights = existsSync(onnx) ? readdirSync(onnx) : [];
  const names = [
    ...['config.json', 'tokenizer.json', 'tokenizer_config.json'],
    ...weights.filter((name) => name.includes(`${suffix}.onnx`)).map((name) => join('onnx', name)),
  ];
  const hash = createHash('sha256');
  for (const name of names.sort()) {
    const path = join(folder, name);
    if (!existsSync(path)) continue;
    hash.update(`${name}:${statSync(path).size}\n`);
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  }
  return hash.digest('hex');
}
