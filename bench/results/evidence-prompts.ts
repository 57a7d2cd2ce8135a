/** Prompts about pictures of the test split, and what a model computes on them. */
import { Tensor } from '@huggingface/transformers';
import type { EvalModel } from '../../eval/models/load.ts';
import type { Item } from '../../eval/outputs/index.ts';
import type { AttunedModel, Intervention, TransformersModel } from '../../hooks/model/index.ts';

export type Params = Readonly<Record<string, unknown>>;
export type Model = TransformersModel & AttunedModel & { generate(options: object): Promise<Tensor> };

export interface Prompt {
  readonly item: Item;
  readonly inputs: { input_ids: Tensor; attention_mask: Tensor; pixel_values: Tensor };
}

export const ids = (row: readonly number[]) => ({
  input_ids: new Tensor('int64', BigInt64Array.from(row, BigInt), [1, row.length]),
  attention_mask: new Tensor('int64', new BigInt64Array(row.length).fill(1n), [1, row.length]),
});

export async function inputsOf({ language }: EvalModel, item: Item): Promise<Prompt> {
  if (!('context' in item)) throw new Error(`${item.id} has no prompt`);
  const { text, picture } = await language.encodeImagePrompt!(item.context, item.picture!);
  return { item, inputs: { ...ids(language.encode(text)), ...picture!.inputs } as Prompt['inputs'] };
}

export const tokensOf = (tensor: Tensor): number[] => (tensor.tolist() as bigint[][])[0]!.map(Number);
export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
export const namesOf = ({ attune: { facts } }: Model, kind: string): string[] =>
  facts.decoder.map(
    (site) => facts.points.find((point) => point.kind === kind && point.layer === site.layer)!.name,
  );

/** The prompt with the caption that follows: what a cache would have seen, all at once. */
export async function withCaption(model: Model, { inputs }: Prompt): Promise<Prompt['inputs']> {
  const written = await model.generate({ ...inputs, max_new_tokens: 60, do_sample: false });
  return { ...inputs, ...ids(tokensOf(written)) };
}

/** [H, S, T] of each layer, and which tokens are the picture's. */
export async function patternsOf(
  model: Model,
  inputs: Prompt['inputs'],
  interventions: readonly Intervention[] = [],
) {
  const names = namesOf(model, 'hook_pattern');
  const { cache } = await model.using(interventions, () => model.runWithCache(inputs, names));
  const image = model.config.image_token_id ?? model.config.image_token_index;
  const visual = tokensOf(inputs.input_ids).map((token) => token === image);
  return { layers: names.map((name) => cache.get(name)!), visual, start: visual.lastIndexOf(true) + 1 };
}
