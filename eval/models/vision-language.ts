/**
 * Vision-language models in the three-session layout of transformers.js (vision_encoder, embed_tokens,
 * decoder_model_merged): which models are such, which file each session takes, and how a prompt about a picture is put.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AutoProcessor, type Processor, RawImage, type Tensor } from '@huggingface/transformers';
import { AttuneError } from '../../errors.ts';
import { DTYPES, type Dtype } from '../../hooks/model/index.ts';
import { drawn, type ItemPicture } from '../data/pictures.ts';
import type { EncodedPicture, LanguageModel } from '../scoring/language-model.ts';

const SESSIONS = ['vision_encoder', 'embed_tokens', 'decoder_model_merged'] as const;

/** Whether a configuration is that of a model which reads pictures. */
export const readsPictures = (config: Readonly<Record<string, unknown>>): boolean =>
  config.vision_config !== undefined || imageToken(config) !== undefined;

const imageToken = (config: Readonly<Record<string, unknown>>): number | undefined =>
  [config.image_token_id, config.image_token_index].find((id): id is number => typeof id === 'number');

/**
 * The number type of each session: the one asked for where the folder has such a file, else float32. Exports often quantise the
 * decoder alone.
 */
export function sessionTypes(folder: string, dtype: Dtype): Record<string, Dtype> {
  return Object.fromEntries(
    SESSIONS.map((name) => [
      name,
      existsSync(join(folder, 'onnx', `${name}${DTYPES[dtype]}.onnx`)) ? dtype : 'fp32',
    ]),
  );
}

/** What chat templates take for content: plain text, or parts. */
type Content = string | { type: string; text?: string }[];

/**
 * How prompts about a picture are put to a model: with its chat template, where it has one, as a single turn of the user that begins with
 * the picture; else the picture's token, a line end and the prompt.
 * @throws AttuneError MODEL_LOAD; from the result DATA_IMAGE, MODEL_CHAT
 */
export async function imagePromptEncoder(
  idOrFolder: string,
  where: object,
  config: Readonly<Record<string, unknown>>,
  { encode }: Pick<LanguageModel, 'encode'>,
): Promise<NonNullable<LanguageModel['encodeImagePrompt']>> {
  const processor = await AutoProcessor.from_pretrained(idOrFolder, where);
  const id = imageToken(config);
  const token = id === undefined ? undefined : processor.tokenizer?.decode([id]);
  if (id === undefined || !token) {
    throw new AttuneError('MODEL_LOAD', {
      at: idOrFolder,
      found: 'no image token',
      expected: 'image_token_id in config.json',
    });
  }
  return async (prompt, picture) => {
    const text = chatOf(processor, token, prompt);
    const image = await read(picture);
    // As `encode` does it: special tokens where the text does not begin with them already.
    const special = encode(text).length > encode(text, { specialTokens: false }).length;
    const {
      input_ids,
      attention_mask: _,
      ...inputs
    } = (await processor(image, text, {
      add_special_tokens: special,
    })) as Record<string, Tensor>;
    const ids = Array.from(input_ids!.data as BigInt64Array, Number);
    const places = ids.filter((one) => one === id).length;
    const whole = text.replace(token, token.repeat(places));
    if (places === 0 || encode(whole).join() !== ids.join()) {
      throw new AttuneError('MODEL_CHAT', {
        at: idOrFolder,
        found: `${places} places for the picture in ${JSON.stringify(text.slice(0, 200))}`,
        expected: `the processor's own tokens again when "${token}" is written out`,
      });
    }
    return { text: whole, picture: { inputs } satisfies EncodedPicture };
  };
}

/** Templates of different families take the content as text or in parts; the one that shows prompt and picture once is right. */
function chatOf(processor: Processor, token: string, prompt: string): string {
  const contents: Content[] = [[{ type: 'image' }, { type: 'text', text: prompt }], `${token}\n${prompt}`];
  for (const content of contents) {
    const text = rendered(processor, content);
    if (text !== undefined && text.split(token).length === 2 && text.includes(prompt)) return text;
  }
  return `${token}\n${prompt}`;
}

function rendered(processor: Processor, content: Content): string | undefined {
  try {
    const turns = [{ role: 'user', content }] as never;
    return processor.apply_chat_template(turns, {
      add_generation_prompt: true,
      tokenize: false,
    }) as unknown as string;
  } catch {
    // No template, or one that does not take this form of content.
    return undefined;
  }
}

async function read(picture: ItemPicture): Promise<RawImage> {
  const pixels = drawn(picture);
  if (pixels) return new RawImage(Uint8ClampedArray.from(pixels.data), pixels.width, pixels.height, 3);
  try {
    return (await RawImage.read(picture.path!)).rgb();
  } catch (cause) {
    throw new AttuneError('DATA_IMAGE', {
      at: picture.path,
      found: (cause as Error).message,
      expected: 'a picture in a format that can be read (JPEG, PNG, WebP, …)',
      cause,
    });
  }
}
