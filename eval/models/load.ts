/**
 * The model side of evaluation, in one file: what the runner needs of a model and of an intervention, and how both are
 * made from what the user writes.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  AutoConfig,
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
  AutoTokenizer,
  env,
} from '@huggingface/transformers';
import { checkProfile, type Profile } from '../../calibration/index.ts';
import { AttuneError, isAttuneError } from '../../errors.ts';
import { remembers } from '../../hooks/compile/index.ts';
import {
  type AttunedModel,
  asDtype,
  DTYPES,
  type Dtype,
  from_pretrained,
  type HostEnvironment,
  type Intervention,
  isEmpty,
  loadFailure,
  refuseNoFolder,
  type TransformersModel,
  variantKey,
} from '../../hooks/model/index.ts';
import { type RuntimeName, runtimeVersion } from '../../hooks/session/index.ts';
import { interventionFromJSON } from '../../interventions/index.ts';
import { type CausalTokenizer, causalLanguageModel } from '../scoring/causal-language-model.ts';
import { type ChatOptions, chatTemplate } from '../scoring/chat-template.ts';
import type { EncodedPrompt } from '../scoring/encode.ts';
import type { Cost, LanguageModel, TokenRequest } from '../scoring/language-model.ts';
import type { CausalModel } from '../scoring/pass.ts';
import { onDocuments } from './documents.ts';
import { type HeadMap, meanMaps, measuredMaps, parameterMaps } from './head-maps.ts';
import { KeptRuns } from './kept-runs.ts';
import { type EvalIntervention, needsDocuments } from './needs.ts';
import { imagePromptEncoder, readsPictures, sessionTypes } from './vision-language.ts';

/** A model as evaluation uses it. */
export interface EvalModel {
  /** As the user named it. */
  readonly name: string;
  /** Changes when anything changes that scores depend on: weights, tokenizer, number type, device. */
  readonly fingerprint: string;
  /** Name → version of the libraries that run it. */
  readonly software: Readonly<Record<string, string>>;
  /** Scores under the interventions in force. */
  readonly language: LanguageModel;
  /** Head maps under the interventions in force: their parameters, and what is measured on prompts. */
  headMaps(prompts: readonly EncodedPrompt[]): Promise<HeadMap[]>;
  /** Interventions from the next call on; none: the baseline. */
  use(interventions: readonly EvalIntervention[]): Promise<void>;
  /**
   * Whether a profile belongs to the model.
   *
   * @throws AttuneError PROFILE_OF_ANOTHER_MODEL
   */
  checkProfile(profile: Profile): Promise<void>;
  /** Releases its sessions. */
  dispose(): Promise<void>;
}

/** How a model is loaded for evaluation. */
export interface ModelOptions {
  /** Number type of the weights, as transformers.js names its files. Default 'fp32'. */
  dtype?: string | undefined;
  /** Name of the graph in onnx/, without the ending for the number type, as transformers.js's model_file_name; default 'model'. */
  modelFile?: string | undefined;
  /** Default 'cpu'. */
  device?: string | undefined;
  /** What runs it; default native where the addon was built, else onnxruntime, which give the same bytes. */
  runtime?: RuntimeName | undefined;
  /** Prompts are put as chats by the model's template; default as plain text. */
  chat?: ChatOptions | undefined;
  /** Threads that an operator may use; default the runtime's choice. No part of a fingerprint. */
  threads?: number | undefined;
}

/** The model with one set of edits compiled in. */
interface Instance {
  model: TransformersModel & AttunedModel;
  language: LanguageModel;
}

/**
 * Each set of edits has a session of its own, loaded when it is first used: the baseline is the unedited graph, in
 * every row and whatever was compiled before, so that neither its numbers nor its time depend on what it is compared with.
 * All of them compute logits only where something is predicted.
 * Settings that differ in parameters alone share a session, and those that edit nothing have the baseline's.
 *
 * @param idOrFolder a folder in Hub layout, or a Hub id.
 * @throws AttuneError MODEL_LOAD, TOKENIZER_MISSING, MODEL_NO_PREFIX_TOKEN
 */
export async function loadEvalModel(idOrFolder: string, options: ModelOptions = {}): Promise<EvalModel> {
  const { device = 'cpu', modelFile, threads, runtime, chat } = options;
  const dtype = asDtype(options.dtype ?? 'fp32');
  const session_options = threads === undefined ? {} : { intraOpNumThreads: threads };
  const local = existsSync(idOrFolder);
  await refuseNoFolder({ idOrFolder, options: {}, env: env as HostEnvironment });
  const path = local ? resolve(idOrFolder) : idOrFolder;
  const where = { local_files_only: local };
  if (local) refuseWithoutTokenizer(path);
  const tokenizer: CausalTokenizer = await loading(idOrFolder, () =>
    AutoTokenizer.from_pretrained(path, where),
  );
  const config = (await loading(idOrFolder, () =>
    AutoConfig.from_pretrained(path, where),
  )) as unknown as Record<string, unknown>;
  const pictures = readsPictures(config);
  if (pictures && modelFile !== undefined) {
    throw new AttuneError('MODEL_LOAD', {
      at: idOrFolder,
      found: `the model file "${modelFile}"`,
      expected: 'none: a vision-language model has a file for each of its sessions',
    });
  }
  const template = chat && chatTemplate(tokenizer, chat, idOrFolder);
  const types = pictures && local ? sessionTypes(path, dtype) : dtype;
  const Class = pictures ? AutoModelForImageTextToText : AutoModelForCausalLM;
  const kept = new KeptRuns();
  const load = async (interventions: readonly Intervention[]): Promise<Instance> => {
    const model: TransformersModel & AttunedModel = await loading(idOrFolder, () =>
      from_pretrained(Class as never, path, {
        ...where,
        dtype: types,
        device,
        model_file_name: modelFile ?? null,
        interventions,
        session_options,
        ...(runtime && { runtime }),
        numLogitsToKeep: true,
        // Elsewhere outputs may lie in memory that is given back.
        ...(device === 'cpu' && { untouchedRuns: kept.around }),
      }),
    );
    const share = !interventions.some((one) => looksAhead(one, model));
    return { model, language: causalLanguageModel(model as unknown as CausalModel, tokenizer, { share }) };
  };
  const baseline = await load([]);
  const instances = new Map([['', baseline]]);
  const encodeImagePrompt = pictures
    ? await loading(idOrFolder, () => imagePromptEncoder(path, where, config, baseline.language))
    : undefined;
  let active: readonly Intervention[] = [];
  /** The session for what is in force, on documents of a request. */
  const instanceFor = async (documents: TokenRequest['documents'], tokens: number): Promise<Instance> => {
    const interventions = onDocuments(active, documents, { tokens, room: baseline.language.maxLength });
    const key = graphOf(interventions.filter((one) => !isEmpty(editsOf(one, baseline.model))));
    const instance = instances.get(key) ?? (await load(interventions));
    instances.set(key, instance);
    instance.model.use(interventions);
    if (key === '' && interventions.length > 0) kept.prompts = true;
    return instance;
  };
  const withReusedCost = (cost: Cost): Cost => {
    const reused = kept.take();
    return { ...cost, ...reused, ms: cost.ms + reused.reusedMs };
  };
  const weights = local ? await hashFiles(path, types) : `hub:${idOrFolder}`;
  return {
    name: idOrFolder,
    fingerprint: createHash('sha256')
      .update(
        [
          weights,
          dtype,
          device,
          ...(modelFile ? [modelFile] : []),
          ...(runtime === 'wasm' ? [runtime] : []),
          ...(chat && template ? [JSON.stringify([template.source, chat.system ?? null])] : []),
        ].join('/'),
      )
      .digest('hex'),
    software: {
      'transformers.js': env.version,
      onnxruntime: await runtimeVersion(),
      ...(baseline.model.attune.runtime.name !== 'onnxruntime' && {
        runtime: baseline.model.attune.runtime.name,
      }),
    },
    language: {
      ...baseline.language,
      ...(encodeImagePrompt && { encodeImagePrompt }),
      ...(template && { renderChat: template.render }),
      async logLikelihoods(requests) {
        const tokens = Math.max(
          ...requests.map(({ context, continuation }) => context.length + continuation.length - 1),
        );
        const { language } = await instanceFor(requests[0]?.documents, tokens);
        const { scores, cost } = await language.logLikelihoods(requests);
        return { scores, cost: withReusedCost(cost) };
      },
      async generate(prompt, how) {
        const { language } = await instanceFor(how.documents, prompt.length + how.maxTokens);
        const written = await language.generate(prompt, how);
        return { ...written, cost: withReusedCost(written.cost) };
      },
    },
    async use(specifications) {
      active = specifications.map((one) => interventionFromJSON(one.toJSON()));
      // Others wait for the documents of a request.
      if (!active.some(({ kind }) => needsDocuments(kind))) await instanceFor(undefined, 0);
    },
    checkProfile: (profile) => checkProfile(baseline.model, profile),
    async headMaps(prompts) {
      const measured: HeadMap[][] = [];
      for (const { tokens, documents, picture } of prompts) {
        const { model } = await instanceFor(documents, tokens.length);
        measured.push(await measuredMaps(model, tokens, picture?.inputs));
      }
      return [...parameterMaps(active, baseline.model.attune.facts), ...meanMaps(measured)];
    },
    async dispose() {
      kept.clear();
      for (const { model } of instances.values()) await model.dispose();
    },
  };
}

/** Equal for interventions that feed other values to the same graph. */
const graphOf = (interventions: readonly Intervention[]): string =>
  interventions
    .map((one) => `${one.kind.name} ${variantKey(one.kind.variant?.(one))}`)
    .sort()
    .join(' and ');

/**
 * An intervention that carries something from call to call is not the same on a prompt cut in two, and rows of its prompt may
 * see later ones: what requests share cannot be computed once for all of them.
 */
const looksAhead = (one: Intervention, model: AttunedModel): boolean => remembers(editsOf(one, model));

const editsOf = (one: Intervention, { attune }: AttunedModel) =>
  one.kind.plan(attune.facts, one.kind.variant?.(one));

/** Whatever the library throws while it loads, as an error that says what was expected where. */
export async function loading<T>(at: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (isAttuneError(cause)) throw cause;
    const options = { local_files_only: existsSync(at) };
    throw await loadFailure(cause, { idOrFolder: at, options, env: env as HostEnvironment });
  }
}

/** @throws AttuneError TOKENIZER_MISSING */
function refuseWithoutTokenizer(folder: string): void {
  if (!existsSync(join(folder, 'config.json')) || existsSync(join(folder, 'tokenizer.json'))) return;
  throw new AttuneError('TOKENIZER_MISSING', {
    at: folder,
    found: 'no tokenizer.json',
    expected: 'the files of a model in Hub layout: config.json, tokenizer.json, tokenizer_config.json, onnx/',
    hint: "Put the model's tokenizer.json and tokenizer_config.json there; scoring reads text.",
  });
}

/** @throws AttuneError INTERVENTION_UNKNOWN, SPEC_INVALID */
export function readIntervention(json: Record<string, unknown>): EvalIntervention {
  const { hash, toJSON, kind } = interventionFromJSON(json);
  return { hash, toJSON, needs: kind.needs };
}

/**
 * SHA-256 over configuration, tokenizer and the weight files, in hexadecimal.
 * @param types the number type of all files, or of each session
 */
async function hashFiles(folder: string, types: Dtype | Record<string, Dtype>): Promise<string> {
  const endings =
    typeof types === 'string'
      ? [`${DTYPES[types]}.onnx`]
      : Object.entries(types).map(([session, type]) => `${session}${DTYPES[type]}.onnx`);
  const onnx = join(folder, 'onnx');
  const weights = existsSync(onnx) ? readdirSync(onnx) : [];
  const names = [
    ...['config.json', 'tokenizer.json', 'tokenizer_config.json'],
    ...(typeof types === 'string'
      ? []
      : ['processor_config.json', 'preprocessor_config.json', 'chat_template.jinja']),
    ...weights
      .filter((name) => endings.some((ending) => name.includes(ending)))
      .map((name) => join('onnx', name)),
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
