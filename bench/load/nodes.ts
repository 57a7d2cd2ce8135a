/**
 * Nodes that a method adds to a layer, those of branches and loop bodies included: as ONNX Runtime finds them once it
 * has inlined the functions, and as its optimisers leave them. Counted on models of one and of two layers of the shape
 * that is timed, so that what is made once per graph does not count.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSession } from '../../hooks/session/index.ts';
import {
  assemble,
  encodeModel,
  type Graph,
  inlineFunctions,
  type Model,
  openModel,
  subgraphs,
} from '../../onnx/index.ts';
import { buildDecoder } from '../../testbed/builders/decoder.ts';
import type { DecoderConfig } from '../../testbed/builders/decoder-config.ts';
import { randomParameters } from '../../testbed/builders/parameters.ts';
import { compiledFor, factsOf, METHODS, type Method, planOf } from './methods.ts';

export interface NodesPerLayer {
  readonly written: number;
  readonly optimised: number;
}

/** Of the graph and all graphs inside it, constants left out. */
export function countNodes({ nodes }: Graph): number {
  return nodes.reduce(
    (sum, node) =>
      sum +
      (node.opType === 'Constant' ? 0 : 1) +
      subgraphs(node).reduce((inner, graph) => inner + countNodes(graph), 0),
    0,
  );
}

export async function nodesPerLayer(shape: DecoderConfig, method: Method): Promise<NodesPerLayer> {
  const added = async (layers: number) => {
    const [own, plain] = [await counts(shape, layers, method), await counts(shape, layers, METHODS[0]!)];
    return { written: own.written - plain.written, optimised: own.optimised - plain.optimised };
  };
  const [one, two] = [await added(1), await added(2)];
  return { written: two.written - one.written, optimised: two.optimised - one.optimised };
}

async function counts(shape: DecoderConfig, numLayers: number, method: Method): Promise<NodesPerLayer> {
  const config = { ...shape, numLayers, vocabSize: 64, intermediateSize: 64, maxPositions: 64 };
  const { model, source } = buildDecoder(config, randomParameters('nodes'), {
    form: 'gqa',
    weights: { kind: 'int4', blockSize: 32, accuracyLevel: 4 },
    embedding: 'int4',
    numLogitsToKeep: true,
  });
  const facts = await factsOf(await assemble(encodeModel(model), source));
  const folder = mkdtempSync(join(tmpdir(), 'attune-nodes-'));
  try {
    const optimizedModelFilePath = join(folder, 'optimised.onnx');
    const session = await createSession(facts.file, facts.recognition, planOf(method, facts), {
      session: { optimizedModelFilePath, logSeverityLevel: 3 },
    });
    await session.release();
    const optimised = await openModel(optimizedModelFilePath);
    optimised.close();
    const written = inlineFunctions(compiledFor(method, facts).model as Model);
    return { written: countNodes(written.graph), optimised: countNodes(optimised.model.graph) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
