/** A graph around one lowered site, run on a problem: knobs and state from the problem, the answer from outputs and taps. */
import { DataType, makeGraph, makeValueInfo } from '../../onnx/index.ts';
import type { Lowered } from '../lowerings/lowered.ts';
import type { Problem, Solution } from '../problem.ts';
import { at, build, type Tensor } from '../reference/tensor.ts';
import { asTensor, headOutputs, symbolic } from './feeds.ts';
import { knobFeeds, type Plan, stateFeeds } from './plan.ts';
import type { Feed, Runner } from './runner.ts';

/** Name of the one site; prefix of its knobs. */
export const SITE = 'site';

export interface SiteRun {
  readonly problem: Problem;
  readonly plan: Plan;
  /** In the order their nodes follow each other. The last one makes the value z, [B, S, H·E]. */
  readonly parts: readonly Lowered[];
  /** Everything but knobs and state. */
  readonly feeds: Readonly<Record<string, Feed>>;
  readonly elemType: number;
}

export async function runParts(
  runner: Runner,
  { problem, plan, parts, feeds, elemType }: SiteRun,
): Promise<Solution> {
  const { q, k, mask } = problem;
  const [B, , S] = q.shape as [number, number, number];
  const T = k.shape[2]!;
  const states = parts.flatMap((part) => part.states);
  const taps = parts.flatMap((part) => part.taps);
  const all: Record<string, Feed> = {
    ...feeds,
    ...knobFeeds(
      plan,
      parts.flatMap((part) => part.knobs),
      SITE,
    ),
    ...stateFeeds(plan, states, SITE, B),
  };
  const outputs = [...states.map(({ output }) => output), ...taps.map(({ value }) => value)];
  const graph = makeGraph('site', {
    nodes: parts.flatMap(({ nodes }) => nodes),
    inputs: Object.entries(all).map(([name, feed]) =>
      makeValueInfo(name, feed.elemType, symbolic(name, feed.dims)),
    ),
    outputs: [makeValueInfo('z', elemType), ...outputs.map((name) => makeValueInfo(name, DataType.FLOAT))],
    initializers: parts.flatMap(({ initializers }) => initializers),
  });
  const functions = new Map(parts.flatMap((part) => part.functions).map((fn) => [fn.name, fn]));
  const model = { graph, functions: [...functions.values()], opsets: parts[0]!.opsets };
  const results = await runner.run(model, all);

  const tap = (name: string) => {
    const found = taps.find((one) => one.name === name);
    return found && asTensor(results[found.value]!);
  };
  const isReal = (b: number, t: number) => !mask?.keys || at(mask.keys, b, t) !== 0;
  const masked = (probs: Tensor | undefined) =>
    probs && build(probs.shape, (b, h, s, t) => (isReal(b!, T - S + s!) ? at(probs, b!, h!, s!, t!) : 0));
  const maps = ['pattern', 'pattern_edited'];
  const found = taps
    .filter(({ name }) => !maps.includes(name))
    .map(({ name }) => [name, tap(name)!] as const);
  const left = states.map(({ output }) => [localName(output), asTensor(results[output]!)] as const);
  // Edits of the logits come before the first tap.
  const untouched = plan.edits.every(({ row }) => row.stage === 'probabilities');
  return {
    output: headOutputs(asTensor(results.z!), problem),
    probs: masked(tap('pattern_edited')),
    baseProbs: untouched ? masked(tap('pattern')) : undefined,
    found: Object.fromEntries(found),
    states: Object.fromEntries(left),
  };
}

/** Of a state's output. */
function localName(output: string): string {
  return output.slice(`${SITE}.present_`.length);
}
