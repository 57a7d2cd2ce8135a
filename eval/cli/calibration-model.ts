/** A model as calibration takes it: what is known of its graph, and its tokenizer by the rules of scoring. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer } from '@huggingface/transformers';
import { AttuneError } from '../../errors.ts';
import {
  type AttunedModel,
  asDtype,
  from_pretrained,
  type TransformersModel,
} from '../../hooks/model/index.ts';
import { loading, type ModelOptions } from '../models/load.ts';
import { type CausalTokenizer, causalLanguageModel } from '../scoring/causal-language-model.ts';
import { chatTemplate } from '../scoring/chat-template.ts';
import type { LanguageModel } from '../scoring/language-model.ts';
import type { CausalModel } from '../scoring/pass.ts';

export interface CalibrationModel extends AsyncDisposable {
  readonly model: TransformersModel & AttunedModel;
  readonly language: LanguageModel;
  readonly tokenizer: CausalTokenizer;
  /** For sessions of their own on the same device. */
  readonly session: Readonly<Record<string, unknown>>;
}

/** @throws AttuneError MODEL_LOAD, MODEL_NO_PREFIX_TOKEN, NO_ATTENTION */
export async function loadCalibrationModel(
  idOrFolder: string,
  { dtype, device = 'cpu', modelFile, runtime, chat }: ModelOptions = {},
): Promise<CalibrationModel> {
  const local = existsSync(idOrFolder);
  if (!local && /^[./~]/.test(idOrFolder)) {
    throw new AttuneError('MODEL_LOAD', {
      at: idOrFolder,
      found: 'no such folder',
      expected: 'a decoder model in Hub layout (config.json, tokenizer.json, onnx/)',
    });
  }
  const path = local ? resolve(idOrFolder) : idOrFolder;
  const where = { local_files_only: local };
  const tokenizer: CausalTokenizer = await loading(idOrFolder, () =>
    AutoTokenizer.from_pretrained(path, where),
  );
  const model: TransformersModel & AttunedModel = await loading(idOrFolder, () =>
    from_pretrained(AutoModelForCausalLM as never, path, {
      ...where,
      dtype: asDtype(dtype ?? 'fp32'),
      device,
      ...(runtime && { runtime }),
      model_file_name: modelFile ?? null,
    }),
  );
  const language = causalLanguageModel(model as unknown as CausalModel, tokenizer);
  const template = chat && chatTemplate(tokenizer, chat, idOrFolder);
  return {
    model,
    language: template ? { ...language, renderChat: template.render } : language,
    tokenizer,
    session: { executionProviders: [device] },
    async [Symbol.asyncDispose]() {
      await model.dispose();
    },
  };
}
