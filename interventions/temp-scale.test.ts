/** Temperature: golden vectors of one bidirectional attention in two graph forms, and what is refused. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compile } from '../hooks/compile/index.ts';
import { FORMS, load } from '../hooks/model/attuned.test-support.ts';
import { type ModelFacts, modelFacts } from '../hooks/model/index.ts';
import { loadRuntime, startSession } from '../hooks/session/index.ts';
import { checkGolden } from '../kernels/golden/checks.ts';
import { readGolden } from '../kernels/golden/index.ts';
import type { Problem } from '../kernels/problem.ts';
import { maxAbsError, tensor } from '../kernels/reference/index.ts';
import {
  assemble,
  DataType,
  encodeModel,
  floatTensor,
  type Graph,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
} from '../onnx/index.ts';
import { bytesSource } from '../onnx/source.ts';
import { tempScale } from './index.ts';

const FILE = new URL('../testbed/golden/tempscale.json', import.meta.url);
const vectors = readGolden(readFileSync(FILE, 'utf8'), 'tempscale.json').filter(({ id }) =>
  id.startsWith('bert'),
);

/** Attention alone, from q, k, v [B,H,S,D] and a mask [B,1,S,S] to z [B,H,S,D]. */
const GRAPHS: Record<string, (H: number, D: number) => Graph> = {
  decomposed: (H, D) =>
    attention(
      H,
      D,
      [
        makeNode('Transpose', ['k'], ['kt'], { attributes: { perm: [0, 1, 3, 2] } }),
        makeNode('MatMul', ['q', 'kt'], ['products']),
        makeNode('Mul', ['products', 'scale'], ['scaled']),
        makeNode('Add', ['scaled', 'mask'], ['scores']),
        makeNode('Softmax', ['scores'], ['pattern'], { attributes: { axis: -1 } }),
        makeNode('MatMul', ['pattern', 'v'], ['z']),
      ],
      [floatTensor('scale', [1 / Math.sqrt(D)], [])],
    ),
  'ai.onnx Attention': (H, D) => attention(H, D, [makeNode('Attention', ['q', 'k', 'v', 'mask'], ['z'])], []),
};

function attention(H: number, D: number, nodes: Graph['nodes'], initializers: Graph['initializers']): Graph {
  const heads = (name: string) => makeValueInfo(name, DataType.FLOAT, ['B', H, 'S', D]);
  return makeGraph('attention', {
    nodes,
    initializers,
    inputs: [heads('q'), heads('k'), heads('v'), makeValueInfo('mask', DataType.FLOAT, ['B', 1, 'S', 'S'])],
    outputs: [heads('z')],
  });
}

describe.each(Object.keys(GRAPHS))('%s', (form) => {
  test.each(vectors)('$id', async (golden) => {
    const comparisons = await checkGolden(golden, (problem) => solve(problem, GRAPHS[form]!))!;
    const outputs = comparisons.filter(({ actual }) => actual !== undefined);
    expect(outputs.length).toBeGreaterThan(1);
    for (const { name, actual, expected } of outputs) {
      expect(maxAbsError(actual!, expected), name).toBeLessThan(golden.tolerance.float32);
    }
  });
});

/** The problem's logit factor as a temperature, put into the graph as into any model's. */
async function solve(problem: Problem, make: (H: number, D: number) => Graph) {
  const [B, H, S, D] = problem.q.shape as [number, number, number, number];
  const a = problem.edits?.[0]?.values.a;
  if (!a) throw new Error('a temperature case asks for a temperature');
  const model = makeModel(make(H, D), { '': 23 }, { irVersion: 10 });
  const file = await openModel(await assemble(encodeModel(model), bytesSource(new Uint8Array())));
  const facts = modelFacts(file, {});
  const intervention = tempScale({ temperature: 1 / a.data[0]! });
  const runtime = await loadRuntime('node');
  const compiled = compile(facts.recognition, intervention.kind.plan(facts));
  await using session = await startSession(file, compiled, { runtime, weights: 'copy' });
  for (const [name, value] of Object.entries(intervention.kind.knobs(intervention, facts))) {
    session.setKnob(name, value);
  }
  const float = (values: Iterable<number>, dims: readonly number[]) =>
    new runtime.Tensor('float32', Float32Array.from(values), dims);
  const keys = [...problem.mask!.keys!.data].map((real) => (real ? 0 : -1e9));
  const rows = Array.from({ length: B * S }, (_, i) => Math.floor(i / S));
  const mask = rows.flatMap((b) => keys.slice(b * S, (b + 1) * S));
  const { z } = await session.run({
    q: float(problem.q.data, problem.q.shape),
    k: float(problem.k.data, problem.k.shape),
    v: float(problem.v.data, problem.v.shape),
    mask: float(mask, [B, 1, S, S]),
  });
  return { output: tensor(problem.q.shape, z!.data as Float32Array) };
}

describe('refused', () => {
  test('a temperature that is none', () => {
    for (const temperature of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => tempScale({ temperature })).toThrow(/SPEC_INVALID.*temp-scale\.temperature/);
    }
  });

  test('logits that are capped, biased by position, joined by a sink, or made inside com.microsoft.Attention', async () => {
    const model = await load(FORMS[1]);
    const { facts } = model.attune;
    const sites = (change: object): ModelFacts => ({
      ...facts,
      decoder: facts.decoder.map((site) => ({ ...site, ...change })),
    });
    const { plan } = tempScale.kind;
    expect(() => plan(sites({ softcap: 50 }))).toThrow(/INTERVENTION_REFUSED.*layer 0 caps its logits/);
    expect(() => plan(sites({ headSink: 'sink' }))).toThrow(/INTERVENTION_REFUSED.*sink/);
    expect(() => plan({ ...facts, config: { model_type: 'bloom' } })).toThrow(
      /INTERVENTION_REFUSED.*position/,
    );
    expect(() => compile(facts.recognition, plan(sites({ projectsInside: true })))).toThrow(
      /INTERVENTION_REFUSED.*com\.microsoft\.Attention/,
    );
    await model.dispose();
  });
});
