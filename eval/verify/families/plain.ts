/** The untouched model: a run, and what flowed at its hook points. */
import { z } from 'zod';
import { AttuneError } from '../../../errors.ts';
import type { Activation } from '../../../hooks/model/index.ts';
import { defineFamily } from '../family.ts';
import { matrix, tensor } from '../golden.ts';
import { maxAbsError } from '../measure.ts';
import { batchOf, type Subject } from '../subject.ts';
import { compareRun, run } from './steered.ts';

const kase = run.extend({
  first_token_weight: tensor(matrix),
  attention_last_row: tensor(z.array(matrix)),
  head_z_last: tensor(z.array(matrix)),
  residual_last: tensor(matrix),
});

export const plain = defineFamily({
  name: 'plain',
  schema: z.array(kase),
  async *compare(cases, subject) {
    for (const expected of cases) {
      yield* await compareRun(expected.prompt, expected, subject);
      const seen = await observe(subject, expected.prompt);
      for (const quantity of Object.keys(seen) as (keyof typeof seen)[]) {
        yield {
          case: `${expected.prompt} ${quantity}`,
          maxAbsError: maxAbsError(seen[quantity], expected[quantity].data),
          tolerance: subject.tolerance(quantity),
        };
      }
    }
  },
});

/** Flat, layer by layer. */
async function observe(subject: Subject, prompt: string) {
  const ids = subject.prompt(prompt);
  const { cache } = await subject.model.runWithCache(batchOf([ids]), '**.hook_pattern');
  const patterns = [...cache.values()];
  return {
    attention_last_row: patterns.flatMap(lastPatternRow),
    first_token_weight: patterns.flatMap(firstTokenWeight),
    ...(await observeLast(subject, ids)),
  };
}

/** Head outputs and residual stream of the last token, flat, layer by layer. */
export async function observeLast(subject: Subject, ids: readonly number[]) {
  const { cache } = await subject.model.runWithCache(batchOf([ids]), ['**.hook_z', '**.hook_resid_post']);
  const layers = (kind: string) => [...cache.values()].filter(({ name }) => name.endsWith(kind));
  const { head_dim } = subject.golden.header.model;
  return {
    head_z_last: layers('hook_z').flatMap((z) => lastHeads(z, head_dim)),
    residual_last: layers('hook_resid_post').flatMap(({ dims, data }) => [...data.subarray(-dims[2]!)]),
  };
}

/** [1,H,S,T] → [H,T]: weights of the last token. */
function lastPatternRow({ dims, data }: Activation): number[] {
  const [, H, S, T] = dims as [number, number, number, number];
  return Array.from({ length: H }, (_, h) => [
    ...data.subarray(((h + 1) * S - 1) * T, (h + 1) * S * T),
  ]).flat();
}

/** [1,H,S,T] → [H]: mean weight on key 0 over rows 1 … S−1. */
function firstTokenWeight({ dims, data }: Activation): number[] {
  const [, H, S, T] = dims as [number, number, number, number];
  return Array.from({ length: H }, (_, h) => {
    let sum = 0;
    for (let s = 1; s < S; s++) sum += data[(h * S + s) * T]!;
    return sum / (S - 1);
  });
}

/**
 * [1,S,H,E] → [H,D]: the last token's head outputs. An export may have widened heads with zeros, D of E places in
 * two halves (half-split rotary pairs stay pairs); the zeros are left out.
 */
function lastHeads({ name, dims, data }: Activation, D: number): number[] {
  const [, , H, E] = dims as [number, number, number, number];
  const last = data.subarray(-H * E);
  const added = (E - D) / 2;
  const kept = (e: number) => e % (E / 2) < D / 2;
  if (added === 0) return [...last];
  if (added < 0 || last.some((value, i) => !kept(i % E) && value !== 0)) {
    throw new AttuneError('GOLDEN_MODEL_DIFFERS', {
      at: name,
      found: `heads of ${E} channels`,
      expected: `${D}, or ${D} widened with zeros`,
    });
  }
  return [...last].filter((_, i) => kept(i % E));
}
