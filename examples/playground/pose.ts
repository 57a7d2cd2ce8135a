/** What a scene asks, as inputs of its model. */
import { RawImage, type Tensor } from '@huggingface/transformers';
import { type Intervention, interventionFromJSON, segmentPrompt } from '../../index.ts';
import type { Model } from './model.ts';
import { drawnPicture } from './picture.ts';
import type { Pieces, Specification, State } from './state.ts';

export interface Posed {
  /** Of the model's calls. */
  readonly inputs: { readonly input_ids: Tensor };
  readonly ids: readonly number[];
  /** Spans, where the prompt has documents. */
  readonly documents?: readonly [start: number, end: number][];
}

export async function pose(model: Model, state: State): Promise<Posed> {
  if (state.scene === 'documents') return posedPieces(model, state.pieces);
  if (state.scene === 'picture') return posedPicture(model, state.picture);
  const inputs = model.tokenizer(state.prompt) as Posed['inputs'];
  return { inputs, ids: idsOf(inputs.input_ids) };
}

export function posedPieces({ tokenizer }: Model, pieces: Pieces): Posed {
  const { documents, ...inputs } = segmentPrompt(tokenizer, pieces);
  return { inputs, ids: idsOf(inputs.input_ids), documents };
}

async function posedPicture({ processor, tokenizer, imageToken }: Model, picture: State['picture']) {
  const { data, width, height } = await drawnPicture(picture.number);
  const image = new RawImage(data, width, height, 4).rgb();
  const content = [{ type: 'image' }, { type: 'text', text: picture.prompt }];
  const template = () =>
    processor!.apply_chat_template([{ role: 'user', content }] as never, { add_generation_prompt: true });
  const text = tokenizer.chat_template
    ? (template() as unknown as string)
    : `${tokenizer.decode([imageToken!])}\n${picture.prompt}`;
  const inputs = (await processor!(image, text, { add_special_tokens: false })) as Posed['inputs'];
  return { inputs, ids: idsOf(inputs.input_ids) };
}

const idsOf = (tensor: Tensor): number[] => Array.from(tensor.data as BigInt64Array, Number);

/** A specification for these documents: methods that treat documents are told which they are. */
export function interventionFor(
  specification: Specification,
  needs: readonly string[],
  { documents }: Pick<Posed, 'documents'>,
): Intervention {
  const given = needs.includes('document-spans') && documents && { documents };
  return interventionFromJSON({ ...given, ...specification });
}
