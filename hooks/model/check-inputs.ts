/** What a model is called with, checked before anything runs, in the caller's words. Letters: B rows, S new tokens, P cached, T = P + S. */
import { AttuneError } from '../../errors.ts';
import type { Graph, ValueInfo } from '../../onnx/index.ts';
import type { ModelFacts } from './facts.ts';

interface Tensorish {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number | bigint>;
  readonly type?: string;
  readonly location?: string;
}

type Inputs = Readonly<Record<string, unknown>>;

/** What is known of the model. */
export interface CheckedModel {
  readonly config: ModelFacts['config'];
  /** Inputs of the decoder's graph by name. */
  readonly declared: ReadonlyMap<string, ValueInfo>;
  readonly imageToken: number | undefined;
}

/**
 * What `generate` is given: the whole sequence, whether a part of it is in a cache already or not.
 * @throws AttuneError PROMPT_EMPTY, TOKEN_INVALID, MASK_MISMATCH, PADDING_RIGHT
 */
export function checkPrompt(
  { inputs, input_ids = inputs, attention_mask, inputs_embeds }: Inputs,
  model: CheckedModel,
): void {
  checkInputs({ input_ids, attention_mask, inputs_embeds }, model);
  const mask = tensorOf(attention_mask);
  if (mask?.dims.length !== 2 || model.config.is_encoder_decoder === true) return;
  const [B, T] = mask.dims as [number, number];
  for (let row = 0; row < B; row++) {
    if (Number(mask.data[(row + 1) * T - 1]) !== 0) continue;
    throw new AttuneError('PADDING_RIGHT', {
      at: `attention_mask, row ${row}`,
      found: 'padding at the end',
      expected: 'padding before the tokens: what is written goes on from the last column',
      hint: "Set the tokenizer's padding_side to 'left'.",
    });
  }
}

/**
 * What a call is given: the new tokens, and the cache they go on from.
 * @param tokens that the cache stands for, where keys were left out of it
 * @throws AttuneError PROMPT_EMPTY, TOKEN_INVALID, MASK_MISMATCH, CACHE_MISMATCH
 */
export function checkInputs(
  inputs: Inputs,
  { config, declared, imageToken }: CheckedModel,
  tokens?: number | undefined,
): void {
  const ids = tensorOf(inputs.input_ids);
  const lead = ids ?? tensorOf(inputs.inputs_embeds);
  // An encoder-decoder's mask and cache are of two sequences.
  if (!lead || lead.dims.length < 2 || config.is_encoder_decoder === true) return;
  const name = ids ? 'input_ids' : 'inputs_embeds';
  const [B, S] = lead.dims as [number, number];
  if (B === 0 || S === 0) throw empty(`${name} of shape [${lead.dims.join(', ')}]`);
  if (ids) checkIds(ids, imageToken);
  const held = checkCache(inputs.past_key_values, B, declared);
  const P = tokens ?? held;
  const mask = tensorOf(inputs.attention_mask);
  if (mask) checkMask(mask, B, S, P, name);
}

/**
 * What a bare session is fed, caches under the names of its inputs.
 * @throws as checkInputs
 */
export function checkFeeds(
  feeds: Inputs,
  { inputs }: Pick<Graph, 'inputs'>,
  config: CheckedModel['config'] = {},
): void {
  // Of cross-attention a cache is as long as the other sequence.
  const cached = Object.entries(feeds).filter(([name]) => /^past/.test(name) && !/encoder|cross/.test(name));
  const declared = new Map(inputs.map((input) => [input.name, input]));
  const model = { config, declared, imageToken: imageToken(config) };
  checkInputs({ ...feeds, past_key_values: Object.fromEntries(cached) }, model);
}

/** Token that stands for image features; transformers spells it in two ways. */
export function imageToken(config: Readonly<Record<string, unknown>>): number | undefined {
  const token = config.image_token_id ?? config.image_token_index;
  return typeof token === 'number' ? token : undefined;
}

const tensorOf = (value: unknown): Tensorish | undefined =>
  Array.isArray((value as Tensorish | null)?.dims) ? (value as Tensorish) : undefined;

const empty = (found: string): AttuneError =>
  new AttuneError('PROMPT_EMPTY', {
    found,
    expected: 'at least one row, and in each row at least one token',
    hint: 'Give the model a token to begin with, such as BOS.',
  });

function checkIds(ids: Tensorish, imageToken: number | undefined): void {
  if (ids.type !== undefined && !/^int(32|64)$/.test(ids.type)) {
    throw new AttuneError('TOKEN_INVALID', {
      at: 'input_ids',
      found: `a tensor of ${ids.type}`,
      expected: 'token ids, int64',
    });
  }
  const S = ids.dims[1]!;
  for (let i = 0; i < ids.data.length; i++) {
    const id = ids.data[i]!;
    if (id >= 0 || Number(id) === imageToken) continue;
    throw new AttuneError('TOKEN_INVALID', {
      at: `input_ids, row ${Math.floor(i / S)}, token ${i % S}`,
      found: `${id}`,
      expected: 'ids from 0 on',
      hint: 'An id below 0 reads the vocabulary from its end, without a word.',
    });
  }
}

/** @returns P */
function checkCache(past: unknown, B: number, declared: CheckedModel['declared']): number {
  let P: number | undefined;
  for (const [name, value] of Object.entries((past ?? {}) as Record<string, unknown>)) {
    const tensor = tensorOf(value);
    const shape = declared.get(name)?.shape;
    // Keys and values [B,K,P,D]; recurrent states have other axes.
    if (tensor?.dims.length !== 4 || shape?.length !== 4) continue;
    const [rows, , length] = tensor.dims as [number, number, number, number];
    P ??= length;
    const fits = shape.every((dim, axis) => typeof dim !== 'number' || dim === tensor.dims[axis]);
    if (rows === B && length === P && fits) continue;
    throw new AttuneError('CACHE_MISMATCH', {
      at: `past_key_values, ${name}`,
      found: `[${tensor.dims.join(', ')}]`,
      expected: `[${B}, ${shape[1]}, ${P}, ${shape[3]}], as the rows of the call, the model's heads and the other layers have it`,
      hint: 'A cache belongs to one model, and all of its tensors are cut or chosen alike.',
    });
  }
  return P ?? 0;
}

/** [B,T], or [B] rows of another rank, which are the model's own affair. */
function checkMask(mask: Tensorish, B: number, S: number, P: number, name: string): void {
  if (mask.dims.length !== 2) return;
  const [rows, T] = mask.dims as [number, number];
  if (rows !== B || T !== P + S) {
    throw new AttuneError('MASK_MISMATCH', {
      at: 'attention_mask',
      found: `[${rows}, ${T}]`,
      expected: `[${B}, ${P + S}]: ${P > 0 ? `${P} cached tokens and ` : ''}${S} in ${name}`,
    });
  }
  if (P > 0 || (mask.location ?? 'cpu') !== 'cpu') return;
  for (let row = 0; row < B; row++) {
    let real = 0;
    for (let t = 0; t < T; t++) if (Number(mask.data[row * T + t]) !== 0) real++;
    if (real === 0) throw empty(`row ${row} of ${B}, all of it padding`);
  }
}
