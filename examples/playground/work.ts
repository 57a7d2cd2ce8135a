/** What the page asks a model for: text, attention, and the answer's probability for each order of the documents. */
import { Tensor, TextStreamer } from '@huggingface/transformers';
import {
  type LikelyToken,
  likeliest,
  packedPattern,
  type TokenView,
  type TokenViewSetting,
} from '../../eval/reports/token-view/data.ts';
import { AttuneError, type Intervention } from '../../index.ts';
import type { Model } from './model.ts';
import { interventionFor, type Posed, posedPieces } from './pose.ts';
import type { Pieces, Specification } from './state.ts';

const NEW_TOKENS = 28;

/** @param write is given the text piece by piece; searches over beams give it at their end */
export async function generate(
  { model, tokenizer }: Model,
  { inputs, ids }: Posed,
  interventions: readonly Intervention[],
  write: (piece: string) => void,
): Promise<void> {
  let streamed = false;
  const streamer = new TextStreamer(tokenizer, {
    skip_prompt: true,
    callback_function: (piece: string) => {
      streamed = true;
      write(piece);
    },
  });
  const decoding = interventions.some(({ kind }) => 'decoding' in kind);
  const output = (await model.generate({
    ...inputs,
    max_new_tokens: NEW_TOKENS,
    do_sample: false,
    ...(!decoding && { streamer }),
    interventions,
  })) as Tensor;
  if (streamed) return;
  const all = Array.from(output.data as BigInt64Array, Number);
  write(tokenizer.decode(all.slice(ids.length), { skip_special_tokens: true }));
}

/** Bytes of attention that the page holds for a setting. */
const LIMIT = 2 ** 26;

/** Attention over the prompt under one setting, and what comes next. @throws AttuneError SHOW_TOO_LONG */
export async function look(
  { model, tokenizer, layers, heads }: Model,
  { inputs, ids }: Posed,
  intervention: Intervention | undefined,
): Promise<TokenViewSetting> {
  if (layers * heads * ids.length ** 2 > LIMIT) {
    throw new AttuneError('SHOW_TOO_LONG', {
      found: `a prompt of ${ids.length} tokens in ${layers * heads} heads`,
      expected: `at most ${Math.floor(Math.sqrt(LIMIT / (layers * heads)))} tokens`,
    });
  }
  const active = model.with(intervention ? [intervention] : []);
  const { output, cache } = await active.runWithCache(inputs, 'blocks.*.attn.hook_pattern');
  const next: LikelyToken[] = likeliest(lastOf(output.logits), (token) => tokenizer.decode([token]));
  return {
    label: intervention?.intervention ?? 'baseline',
    ...(intervention && { specification: intervention.toJSON() }),
    pattern: packedPattern([...cache.values()], heads),
    next,
  };
}

function lastOf(logits: unknown): Float32Array {
  const { dims, data } = logits as { dims: [number, number, number]; data: Float32Array };
  return data.subarray((dims[1] - 1) * dims[2], dims[1] * dims[2]);
}

/** Sign for a patch of the picture among tokens. */
export const PATCH = '▦';

export function viewOf(
  { tokenizer, wish, layers, heads, imageToken }: Model,
  { ids }: Posed,
  settings: readonly TokenViewSetting[],
): TokenView {
  const tokens = ids.map((id) => (id === imageToken ? PATCH : tokenizer.decode([id])));
  return { title: wish.id, tokens, layers, heads, settings };
}

/** The answer's probability for one order of the documents. */
export interface OrderRow {
  /** Places in the order that is shown on the page. */
  readonly order: readonly number[];
  readonly baseline: number;
  readonly intervened: number;
}

/** Orders of all documents; of many, as many as there are documents, each first once. */
export function ordersOf(count: number): number[][] {
  const places = Array.from({ length: count }, (_, i) => i);
  if (count > 4) return places.map((first) => [...places.slice(first), ...places.slice(0, first)]);
  const extend = (begun: number[]): number[][] =>
    begun.length === count
      ? [begun]
      : places.filter((one) => !begun.includes(one)).flatMap((one) => extend([...begun, one]));
  return extend([]);
}

export async function byOrder(
  model: Model,
  pieces: Pieces,
  order: readonly number[],
  specification: Specification,
  needs: readonly string[],
): Promise<OrderRow> {
  const documents = order.map((place) => pieces.documents[place]!);
  const posed = posedPieces(model, { ...pieces, documents });
  const answer = model.tokenizer.encode(pieces.answer, { add_special_tokens: false });
  const under = (interventions: readonly Intervention[]) =>
    probabilityOf(model, posed.ids, answer, interventions);
  return {
    order,
    baseline: await under([]),
    intervened: await under([interventionFor(specification, needs, posed)]),
  };
}

/** Of the whole answer after the prompt. */
async function probabilityOf(
  { model }: Model,
  prompt: readonly number[],
  answer: readonly number[],
  interventions: readonly Intervention[],
): Promise<number> {
  const ids = [...prompt, ...answer];
  const tensor = (values: readonly number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [1, ids.length]);
  const { logits } = (await model.forward({
    input_ids: tensor(ids),
    attention_mask: tensor(ids.map(() => 1)),
    interventions,
  })) as { logits: Tensor };
  const [, , V = 0] = logits.dims;
  const data = logits.data as Float32Array;
  return answer.reduce((product, token, i) => {
    const at = (prompt.length + i - 1) * V;
    const row = data.subarray(at, at + V);
    const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = row.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    return (product * Math.exp(row[token]! - largest)) / sum;
  }, 1);
}
