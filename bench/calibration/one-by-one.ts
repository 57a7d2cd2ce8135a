/**
 * What a sweep replaces: for each setting the graph is edited and loaded, and every text is run by itself. With
 * `sharePrompts` the continuations of a prompt go on from its cache, as attune eval scores.
 */

import type { Request, SweepItem } from '../../calibration/index.ts';
import { decoderFeeds } from '../../calibration/sweep/decoder-feeds.ts';
import { logSumExp } from '../../calibration/sweep/distribution.ts';
import { compile } from '../../hooks/compile/index.ts';
import type { Intervention, ModelFacts } from '../../hooks/model/index.ts';
import { type HookedSession, loadRuntime, type OrtTensor, startSession } from '../../hooks/session/index.ts';

export interface Options {
  readonly sharePrompts?: boolean;
  /** Passed to InferenceSession.create. */
  readonly session?: Readonly<Record<string, unknown>>;
}

/** @returns log-likelihoods [item][request] */
export async function scoreAlone(
  facts: ModelFacts,
  setting: Intervention,
  items: readonly SweepItem[],
  { sharePrompts = false, session: options = {} }: Options = {},
): Promise<number[][]> {
  const runtime = await loadRuntime();
  const compiled = compile(facts.recognition, setting.kind.plan(facts, setting.kind.variant?.(setting)));
  await using session = await startSession(facts.file, compiled, { runtime, session: options });
  for (const [name, value] of Object.entries(setting.kind.knobs(setting, facts)))
    session.setKnob(name, value);
  const inputs = facts.file.model.graph.inputs;
  const run = (ids: readonly number[], past?: Past) =>
    session.run(
      decoderFeeds(
        runtime,
        { session, inputs },
        { ids, pastLength: past?.length ?? 0, rows: 1 },
        past?.tensors,
      ),
      sharePrompts ? [...session.outputNames] : ['logits'],
    );
  const result: number[][] = [];
  for (const { requests } of items) {
    result.push(sharePrompts ? await shared(requests, run) : await whole(requests, run));
  }
  return result;
}

interface Past {
  readonly length: number;
  readonly tensors: Readonly<Record<string, OrtTensor>>;
}
type Run = (ids: readonly number[], past?: Past) => ReturnType<HookedSession['run']>;

async function whole(requests: readonly Request[], run: Run): Promise<number[]> {
  const sums: number[] = [];
  for (const { context, continuation } of requests) {
    const { logits } = await run([...context, ...continuation.slice(0, -1)]);
    sums.push(sumOf(logits!, context.length - 1, continuation));
  }
  return sums;
}

async function shared(requests: readonly Request[], run: Run): Promise<number[]> {
  const { context } = requests[0]!;
  const { logits, ...present } = await run(context);
  const tensors = Object.fromEntries(
    Object.entries(present).map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
  );
  const sums: number[] = [];
  for (const { continuation } of requests) {
    const first = sumOf(logits!, context.length - 1, continuation.slice(0, 1));
    if (continuation.length === 1) sums.push(first);
    else {
      const rest = await run(continuation.slice(0, -1), { length: context.length, tensors });
      sums.push(first + sumOf(rest.logits!, 0, continuation.slice(1)));
    }
  }
  return sums;
}

function sumOf({ data, dims }: OrtTensor, from: number, tokens: readonly number[]): number {
  const V = dims.at(-1)!;
  const logits = data as Float32Array;
  return tokens.reduce((sum, token, k) => {
    const at = (from + k) * V;
    return sum + logits[at + token]! - logSumExp(logits, at, V);
  }, 0);
}
