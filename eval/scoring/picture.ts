/** A prompt about a picture, as the model's chat has it. */
import { AttuneError } from '../../errors.ts';
import type { ItemPicture } from '../data/pictures.ts';
import type { EncodedPicture, LanguageModel } from './language-model.ts';

export interface PosedPrompt {
  /** The prompt with everything a chat puts around it, the picture's places written out. */
  text: string;
  picture?: EncodedPicture;
}

/** Prompts without a picture stay as they are. @throws AttuneError SCORE_NO_VISION for a model of text */
export async function pose(
  model: LanguageModel,
  prompt: string,
  picture: ItemPicture | undefined,
): Promise<PosedPrompt> {
  if (!picture) return { text: prompt };
  if (model.pose) return model.pose(prompt, picture);
  throw new AttuneError('SCORE_NO_VISION', {
    found: `the picture ${picture.name} and a model of text`,
    expected: 'a vision-language model (vision_encoder, embed_tokens and decoder_model_merged in onnx/)',
  });
}
