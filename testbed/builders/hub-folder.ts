/** A model folder as the Hub has it: onnx/, config.json, generation_config.json, and whatever else is given. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type OnnxSource, type WriteOptions, writeOnnx } from './write-onnx.ts';

export interface HubFolder {
  readonly config: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown>;
  /** tokenizer.json, tokenizer_config.json and the like, as JSON values by file name. */
  readonly files?: Record<string, unknown>;
  readonly decoder: OnnxSource;
  /** transformers.js's dtype decides the file: fp32 is onnx/model.onnx, q4 onnx/model_q4.onnx. */
  readonly dtype: 'fp32' | 'q4';
  /** Weights in model.onnx_data beside the model; default inline. */
  readonly external?: boolean;
  readonly onProgress?: WriteOptions['onProgress'];
}

/** Write the folder; the model last, so that a folder with a model is whole. */
export async function writeHubFolder(folder: string, parts: HubFolder): Promise<void> {
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const file = parts.dtype === 'fp32' ? 'model.onnx' : 'model_q4.onnx';
  const config = parts.external
    ? { ...parts.config, 'transformers.js_config': { use_external_data_format: { [file]: 1 } } }
    : parts.config;
  const json = {
    'config.json': config,
    'generation_config.json': parts.generationConfig,
    ...parts.files,
  };
  for (const [name, value] of Object.entries(json)) {
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  }
  await writeOnnx(join(folder, 'onnx', file), parts.decoder, {
    externalData: parts.external ? `${file}_data` : undefined,
    onProgress: parts.onProgress,
  });
}
