/**
 * Methods that choose which keys are read: StreamingLLM (a band, renumbered) and Recycled Attention (the top-K of an own
 * row). What is chosen is worked out here as the specifications say; the attention over it is solved.
 */
import { attention } from '../../reference/attention.ts';
import { rePosition, rope } from '../../reference/re-position.ts';
import { at, block, build, type Tensor, tensor } from '../../reference/tensor.ts';
import type { Comparison, Solve } from '../check.ts';
import type { GoldenCase } from '../read.ts';

type Content<F extends GoldenCase['family']> = Extract<GoldenCase, { family: F }>['content'];
type Stream = Extract<Content<'streamingllm'>, { kind: 'stream' }>;
type Rotation = Extract<Content<'streamingllm'>, { kind: 'rotation' }>;

const ids = (list: readonly number[]) => tensor([list.length], list);
const nested = (lists: readonly (readonly number[])[]) => ids(lists.flat());

/** Tokens `of` an input [token][head][dim] as (1, N, tokens, D). */
function gathered(x: Tensor, of: readonly number[]): Tensor {
  const [, N, D] = x.shape as [number, number, number];
  return build([1, N, of.length, D], (_, n, t, d) => at(x, of[t!]!, n!, d!));
}

/** [token][head][dim] from head outputs (1, H, S, D). */
function byToken(output: Tensor): Tensor {
  const [, H, S, D] = output.shape as [number, number, number, number];
  return build([S, H, D], (s, h, d) => at(output, 0, h!, s!, d!));
}

export function checkStreaming(content: Content<'streamingllm'>, solve: Solve): Promise<Comparison[]> {
  return content.kind === 'stream' ? checkStream(content, solve) : checkRotation(content);
}

async function checkStream({ config, inputs, expected }: Stream, solve: Solve): Promise<Comparison[]> {
  const { nSink, nRecent, ropeBase, scale } = config;
  const form = rope(ropeBase, inputs.q.shape[2]!);
  /** The first tokens and the last `recent`, if there are more. */
  const evict = (cache: readonly number[], recent: number) =>
    cache.length > nSink + recent
      ? [...cache.slice(0, nSink), ...cache.slice(cache.length - recent)]
      : [...cache];
  const comparisons: Comparison[] = [];
  let cache: number[] = [];
  for (const [i, step] of expected.steps.entries()) {
    const { newIds } = step;
    if (expected.policy === 'evict_before' && cache.length + newIds.length > nSink + nRecent) {
      cache = evict(cache, Math.max(nRecent - newIds.length, 0));
    }
    cache = [...cache, ...newIds];
    const keyPositions = expected.relocate ? [...cache.keys()] : cache;
    const queryPositions = keyPositions.slice(-newIds.length);
    const turned = (x: Tensor, tokens: readonly number[], positions: readonly number[]) =>
      rePosition(gathered(x, tokens), tensor([1, 1, positions.length], positions), form);
    const { output } = await solve({
      q: turned(inputs.q, newIds, queryPositions),
      k: turned(inputs.k, cache, keyPositions),
      v: gathered(inputs.v, cache),
      scale,
    });
    const attended = cache;
    if (expected.policy === 'evict_after') cache = evict(cache, nRecent);
    const chosen = [attended, keyPositions, queryPositions, cache];
    const wanted = [step.attendedIds, step.keyPositions, step.queryPositions, step.cacheIdsAfter];
    comparisons.push(
      { name: `keys and positions of step ${i}`, actual: nested(chosen), expected: nested(wanted) },
      { name: `out of step ${i}`, actual: byToken(output), expected: step.out },
    );
  }
  return comparisons;
}

/** A key that was rotated already is moved by rotating it by the difference. */
async function checkRotation({ config, expected }: Rotation): Promise<Comparison[]> {
  return expected.map(({ oldPosition, newPosition, rotatedOld, rotatedNew }, i) => {
    const D = rotatedOld.data.length;
    const moved = rePosition(
      tensor([1, 1, 1, D], rotatedOld.data),
      tensor([1, 1, 1], [newPosition - oldPosition]),
      rope(config.ropeBase, D),
    );
    return {
      name: `key ${i} moved`,
      actual: tensor([D], moved.data),
      expected: tensor([D], rotatedNew.data),
    };
  });
}

export async function checkRecycled(
  { config, inputs, expected }: Content<'recycled_attention'>,
  solve: Solve,
): Promise<Comparison[]> {
  const { promptLen: L, K: capacity, scale } = config;
  const [, H] = inputs.q.shape as [number, number];
  const heads = inputs.k.shape[1]!;
  const group = H / heads;
  const query = (token: number) => gathered(inputs.q, [token - L + 1]);
  const upTo = (token: number) => [...Array(token + 1).keys()];

  /** Attention over all keys so far: the output, and each query head's row. */
  const full = async (token: number) => {
    const [q, k, v] = [query(token), gathered(inputs.k, upTo(token)), gathered(inputs.v, upTo(token))];
    const solution = await solve({ q, k, v, scale });
    // Fused operators show no probabilities: what is chosen from them is then the reference's.
    const probs = solution.probs ?? attention(q, k, v, { scale }).probs;
    return { out: solution.output, rows: Array.from({ length: H }, (_, h) => block(probs, 0, h, 0)) };
  };
  const merge = (rows: readonly Float64Array[]) =>
    Array.from({ length: heads }, (_, j) => {
      const own = rows.slice(j * group, (j + 1) * group);
      return own[0]!.map((_p, t) => {
        const weights = own.map((row) => row[t]!);
        return expected.groupReduce === 'max'
          ? Math.max(...weights)
          : weights.reduce((a, b) => a + b) / group;
      });
    });
  const top = (scores: Float64Array) =>
    [...scores.keys()]
      .sort((a, b) => scores[b]! - scores[a]! || a - b)
      .slice(0, capacity)
      .sort((a, b) => a - b);
  /** Room for a new token: the old one with the smallest score goes, or the oldest where none has a score. */
  const shrunk = (chosen: readonly number[], scores: Float64Array) => {
    if (expected.capacity === 'grow' || chosen.length < capacity) return [...chosen];
    const scored = chosen.filter((id) => id < scores.length);
    const worst =
      scored.length > 0
        ? scored.reduce((low, id) => (scores[id]! < scores[low]! ? id : low))
        : Math.min(...chosen);
    return chosen.filter((id) => id !== worst);
  };
  const cosine = (a: number, b: number) => {
    const cosines = Array.from({ length: H }, (_, h) => {
      const [x, y] = [block(inputs.q, a - L + 1, h), block(inputs.q, b - L + 1, h)];
      const dot = (u: Float64Array, w: Float64Array) => u.reduce((sum, value, i) => sum + value * w[i]!, 0);
      return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
    });
    return cosines.reduce((a, b) => a + b) / H;
  };

  let last = L - 1;
  let scores = merge((await full(last)).rows);
  let chosen = scores.map(top);
  const comparisons: Comparison[] = [
    { name: 'initialSelected', actual: nested(chosen), expected: nested(expected.initialSelected) },
  ];
  for (const step of expected.steps) {
    const { schedule } = expected;
    const { token } = step;
    const { out, rows } = await full(token);
    const isFull =
      schedule.kind === 'fixed'
        ? step.step % schedule.stride === 0
        : step.step % schedule.checkEvery === 0 && cosine(token, last) < schedule.threshold;
    let output = out;
    let attended = chosen.map(() => upTo(token));
    if (isFull) {
      [last, scores] = [token, merge(rows)];
      chosen = scores.map(top);
    } else {
      chosen = chosen.map((own, j) => [...shrunk(own, scores[j]!), token]);
      attended = chosen;
      const D = inputs.k.shape[2]!;
      const read = (x: Tensor) =>
        build([1, heads, chosen[0]!.length, D], (_, j, t, d) => at(x, chosen[j!]![t!]!, j!, d!));
      const partial = { q: query(token), k: read(inputs.k), v: read(inputs.v), scale };
      output = (await solve(partial)).output;
    }
    const mass = rows.map((row, h) =>
      attended[Math.floor(h / group)]!.reduce((sum, id) => sum + row[id]!, 0),
    );
    comparisons.push(
      { name: `keys of step ${step.step}`, actual: nested(chosen), expected: nested(step.selectedAfter) },
      { name: `out of step ${step.step}`, actual: tensor(step.out.shape, output.data), expected: step.out },
      { name: `mass of step ${step.step}`, actual: ids(mass), expected: step.recoveredMass },
    );
  }
  return comparisons;
}
