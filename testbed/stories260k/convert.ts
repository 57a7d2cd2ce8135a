/**
 * stories260K (Karpathy, llama2.c) as Hub-layout folders that transformers.js loads:
 *
 *     npx tsx testbed/stories260k/convert.ts --weights <folder> --out <folder>
 *
 * makes <out>/decomposed (as optimum exports), <out>/gqa (GroupQueryAttention behind RotaryEmbedding nodes, head
 * size 8) and <out>/gqa-fused-rotary (do_rotary = 1, heads zero-padded to 16). All three are the same function.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AttuneError } from '../../errors.ts';
import type { DecoderOptions } from '../builders/build.ts';
import { buildDecoder } from '../builders/decoder.ts';
import { hubConfig } from '../builders/decoder-config.ts';
import { writeHubFolder } from '../builders/hub-folder.ts';
import { givenParameters } from '../builders/parameters.ts';
import { type Checkpoint, readCheckpoint } from './checkpoint.ts';
import { readPieces, tokenizerFiles } from './tokenizer.ts';
import { widenHeads } from './widen.ts';

/** Forms by folder name. */
export const STORIES_FORMS = {
  decomposed: { form: 'decomposed' },
  gqa: { form: 'gqa', rotary: 'separate' },
  'gqa-fused-rotary': { form: 'gqa', rotary: 'fused' },
} as const satisfies Record<string, DecoderOptions>;

export type StoriesForm = keyof typeof STORIES_FORMS;

const FILES = { checkpoint: 'stories260K.bin', tokenizer: 'tok512.bin' };

/** Head size at which CPU GroupQueryAttention takes do_rotary = 1. */
const FUSED_ROTARY_HEAD_SIZE = 16;

/**
 * @param weightsFolder holds stories260K.bin and tok512.bin
 * @returns the model folder of each form
 * @throws AttuneError FILE_NOT_FOUND, CHECKPOINT_FORMAT
 */
export async function convertStories260K(
  weightsFolder: string,
  outFolder: string,
): Promise<Record<StoriesForm, string>> {
  for (const file of Object.values(FILES)) {
    if (existsSync(join(weightsFolder, file))) continue;
    throw new AttuneError('FILE_NOT_FOUND', {
      at: join(weightsFolder, file),
      found: 'no such file',
      expected: Object.values(FILES).join(' and '),
      hint: 'Get both from a copy of the stories260K checkpoint.',
    });
  }
  const checkpoint = readCheckpoint(join(weightsFolder, FILES.checkpoint));
  const tokenizer = tokenizerFiles(readPieces(join(weightsFolder, FILES.tokenizer)));
  const folderOf = (form: StoriesForm) => join(outFolder, form);
  for (const form of Object.keys(STORIES_FORMS) as StoriesForm[]) {
    const widen = form === 'gqa-fused-rotary';
    const source = widen ? widenHeads(checkpoint, FUSED_ROTARY_HEAD_SIZE) : checkpoint;
    await writeForm(folderOf(form), source, STORIES_FORMS[form], tokenizer);
  }
  return {
    decomposed: folderOf('decomposed'),
    gqa: folderOf('gqa'),
    'gqa-fused-rotary': folderOf('gqa-fused-rotary'),
  };
}

async function writeForm(
  folder: string,
  { config, parameters }: Checkpoint,
  options: DecoderOptions,
  tokenizer: Record<string, unknown>,
): Promise<void> {
  const special = { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
  await writeHubFolder(folder, {
    config: {
      ...hubConfig(config),
      rope_parameters: { rope_type: 'default', rope_theta: config.ropeTheta },
      attention_bias: false,
      mlp_bias: false,
      ...special,
    },
    // The model ends a story with BOS, never with EOS.
    generationConfig: { ...special, eos_token_id: 1 },
    files: tokenizer,
    decoder: buildDecoder(config, givenParameters(parameters), options),
    dtype: 'fp32',
  });
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({ options: { weights: { type: 'string' }, out: { type: 'string' } } });
  if (!values.weights || !values.out) {
    process.stderr.write('usage: tsx testbed/stories260k/convert.ts --weights <folder> --out <folder>\n');
    process.exitCode = 1;
  } else {
    for (const folder of Object.values(await convertStories260K(values.weights, values.out))) {
      process.stderr.write(`wrote ${folder}\n`);
    }
  }
}
