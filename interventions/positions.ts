/**
 * At which tokens an intervention acts. A sequence's prompt is what its first call holds; what later calls hold was generated. A
 * range counts from the first real token of each row, whoever wrote it, so that it is the same tokens however they come in calls.
 */
import { z } from 'zod';
import type { Knob, KnobValue } from '../hooks/compile/index.ts';
import type { RequestState } from '../hooks/model/index.ts';
import type { Feeds } from '../hooks/session/index.ts';
import { DataType } from '../onnx/index.ts';

export const positionsSchema = z.union([
  z.enum(['all', 'prompt', 'generated', 'answer']),
  z
    .tuple([z.int().nonnegative(), z.int().positive()])
    .refine(([start, end]) => start < end, 'start must be before end'),
]);
/** All tokens, those of the prompt, those generated, the answer (generated and the prompt's last), or [start, end). */
export type Positions = 'all' | 'prompt' | 'generated' | 'answer' | [start: number, end: number];

export const POSITIONS =
  "'prompt': the first call; 'generated': what comes after; 'answer': that, and the prompt's last token; or [start, end) from the first real token";

/** float32 [rows, tokens]: 1 at the tokens of this run at which it acts. */
export function gateKnob(name: string): Knob {
  return {
    name,
    elemType: DataType.FLOAT,
    shape: [`${name}:rows`, `${name}:tokens`],
    neutral: { dims: [1, 1], data: Float32Array.of(1) },
  };
}

/** One number where all tokens of the run are alike. */
export function gateFeed(
  positions: Exclude<Positions, 'all'>,
  { past }: Pick<RequestState, 'past'>,
  { input_ids, inputs_embeds, attention_mask }: Feeds,
): KnobValue {
  const everywhere = (on: boolean): KnobValue => ({ dims: [1, 1], data: Float32Array.of(on ? 1 : 0) });
  if (positions === 'prompt') return everywhere(past === 0);
  if (positions === 'generated' || (positions === 'answer' && past > 0)) return everywhere(past > 0);
  const [B = 1, S = 1] = (input_ids ?? inputs_embeds)?.dims ?? [];
  if (positions === 'answer') {
    const data = new Float32Array(S);
    data[S - 1] = 1;
    return { dims: [1, S], data };
  }
  const [start, end] = positions;
  const data = new Float32Array(B * S);
  const mask = attention_mask?.data as ArrayLike<number | bigint> | undefined;
  const T = attention_mask?.dims[1] ?? S;
  for (let b = 0; b < B; b++) {
    let first = 0;
    while (mask && first < T - 1 && Number(mask[b * T + first]) === 0) first++;
    // Columns of this run begin at `past`.
    const from = Math.max(0, Math.min(S, first + start - past));
    const to = Math.max(0, Math.min(S, first + end - past));
    data.fill(1, b * S + from, b * S + to);
  }
  return { dims: [B, S], data };
}
