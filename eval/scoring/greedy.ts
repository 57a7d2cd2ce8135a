/** Token after token, each the one with the largest logit, over a KV cache. */

import type { Cost, EncodedPicture, Written } from './language-model.ts';
import { noCost } from './language-model.ts';
import { type CausalModel, Pass } from './pass.ts';

export interface GreedyOptions {
  /** Text that ends the writing and is cut off. */
  until: readonly string[];
  maxTokens: number;
  /** Tokens that end it. */
  eos: ReadonlySet<number>;
  decode(ids: number[]): string;
  picture?: EncodedPicture | undefined;
}

/** @param ids [S] the prompt. */
export async function writeGreedily(
  model: CausalModel,
  ids: readonly number[],
  { until, maxTokens, eos, decode, picture }: GreedyOptions,
): Promise<Omit<Written, 'truncated'>> {
  const pass = new Pass(model);
  const written: number[] = [];
  let finite = true;
  let { logits, past, V } = await pass.run(ids, { logitsFrom: ids.length - 1, picture });
  const read = { ...pass.cost };
  while (true) {
    const next = firstLargest(logits, logits.length - V);
    finite = next !== undefined;
    if (next === undefined || eos.has(next)) break;
    written.push(next);
    if (written.length === maxTokens) break;
    if (until.length > 0 && until.some((end) => decode(written).includes(end))) break;
    const step = await pass.run([next], { past, pastLength: ids.length + written.length - 1 });
    await past.dispose();
    ({ logits, past, V } = step);
  }
  await past.dispose();
  const text = until.reduce((left, end) => left.split(end)[0]!, decode(written));
  const cost: Cost = {
    ...noCost,
    ...pass.cost,
    unsharedTokens: pass.cost.tokens,
    decodedTokens: pass.cost.tokens - read.tokens,
    decodeMs: pass.cost.ms - read.ms,
  };
  return { text, tokens: written.length, finite, cost };
}

/** Position of the first largest from `from` on; undefined when the largest is no finite number. */
function firstLargest(logits: Float32Array, from: number): number | undefined {
  let best = from;
  for (let i = from; i < logits.length; i++) {
    if (Number.isNaN(logits[i]!)) return undefined;
    if (logits[i]! > logits[best]!) best = i;
  }
  return Number.isFinite(logits[best]!) ? best - from : undefined;
}
