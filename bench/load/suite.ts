/**
 * Loading: what a session costs to create with a method compiled in, against ONNX Runtime's own creation of a session
 * of the same file. The candidate is everything attune does for it (opening the file, recognising, compiling, grafting)
 * and the creation; weights stay where they are on both sides. Kernels are part of the graph, which ONNX Runtime
 * resolves and optimises node by node, so nodes per layer stand beside each ratio.
 */
import { join } from 'node:path';
import { AutoModelForCausalLM } from '@huggingface/transformers';
import { from_pretrained, type Intervention } from '../../hooks/model/index.ts';
import { createSession, loadRuntime, type OrtSession } from '../../hooks/session/index.ts';
import { act } from '../../interventions/index.ts';
import { QWEN, type Shape, SMOLLM2, sessionOptions } from '../overhead/models.ts';
import { type Clock, compare, paired, spread } from '../paired.ts';
import type { Case, Measurement, RunOptions, Suite } from '../suite.ts';
import { factsOf, METHODS, type Method, planOf } from './methods.ts';
import { nodesPerLayer } from './nodes.ts';

const SHAPES: readonly Shape[] = [QWEN, SMOLLM2];

/** Loading with a method may take half as long again as loading without. */
const BOUND = 1.5;
const PAIRS = 5;

/** Warnings of constants that optimisers left without use would be timed as well. */
const QUIET = { logSeverityLevel: 3 } as const;

async function creation(shape: Shape, method: Method, options: RunOptions): Promise<Measurement> {
  const file = join(await shape.folder(), 'onnx/model_q4.onnx');
  const session = { ...sessionOptions(options.clock), ...QUIET };
  const { InferenceSession } = (await loadRuntime('node')) as unknown as {
    InferenceSession: { create(path: string, options: object): Promise<OrtSession> };
  };
  const plain = async () => (await InferenceSession.create(file, session)).release();
  const hooked = async () => {
    const facts = await factsOf(file);
    const created = await createSession(facts.file, facts.recognition, planOf(method, facts), { session });
    facts.file.close();
    await created.release();
  };
  const nodes = await nodesPerLayer(shape.config, method);
  return measured(plain, hooked, options, `${nodes.written} nodes per layer, ${nodes.optimised} optimised`);
}

async function loading(
  shape: Shape,
  interventions: readonly Intervention[],
  options: RunOptions,
): Promise<Measurement> {
  const folder = await shape.folder();
  const session_options = { ...sessionOptions(options.clock), ...QUIET };
  const plain = async () => {
    const given = { dtype: 'q4', session_options } as const;
    await (await AutoModelForCausalLM.from_pretrained(folder, given)).dispose();
  };
  const attuned = async () => {
    const given = { dtype: 'q4' as const, session_options, interventions };
    await (await from_pretrained(AutoModelForCausalLM, folder, given)).dispose();
  };
  return measured(plain, attuned, options, 'from_pretrained of either');
}

async function measured(
  plain: () => Promise<unknown>,
  candidate: () => Promise<unknown>,
  { clock, effort }: { readonly clock: Clock; readonly effort: number },
  what: string,
): Promise<Measurement> {
  const pairs = Math.max(1, Math.round(PAIRS * effort));
  const comparison = compare(await paired(plain, candidate, { pairs }), clock);
  const { baselineMs, ms, ratio } = comparison;
  return { baselineMs, ms, ratio, note: `${what}; ${spread(comparison)}` };
}

const casesOf = (shape: Shape): Case[] => [
  ...METHODS.map((method) => ({
    case: `${shape.name}, ${method.name}`,
    bound: BOUND,
    run: (options: RunOptions) => creation(shape, method, options),
  })),
  {
    case: `${shape.name}, from_pretrained, nothing on`,
    bound: BOUND,
    run: (options) => loading(shape, [], options),
  },
  {
    case: `${shape.name}, from_pretrained, ACT`,
    bound: BOUND,
    run: (options) => loading(shape, [act({ heads: 'all' })], options),
  },
];

export const loadSuite: Suite = {
  name: 'load',
  summary: 'creating a session with a method compiled in, against ONNX Runtime alone',
  cases: SHAPES.flatMap(casesOf),
};
