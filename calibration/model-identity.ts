/**
 * Which model a profile belongs to, and in what another model differs from it. Two exports of one checkpoint are two
 * models here, and so are two checkpoints in one architecture: heads found for one mean nothing for the other.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import { fingerprint, type ModelFacts } from '../hooks/model/index.ts';
import { type ByteSource, dataTypeName, type OnnxFile } from '../onnx/index.ts';
import { sha256 } from '../onnx/sha256.ts';

export const identitySchema = z.object({
  /** SHA-256 of the graph with the places of its weights (hooks/model fingerprint). */
  graph: z.string().regex(/^[0-9a-f]{64}$/),
  /** SHA-256 of bytes taken from every weight. */
  weights: z.string().regex(/^[0-9a-f]{64}$/),
  layers: z.int(),
  heads: z.int(),
  kvHeads: z.int(),
  headDim: z.int(),
  /** How attention is written (docs/architecture.md, form) and in which number type. */
  form: z.string(),
});
/** What tells one model from another: digests of graph and weights, and its dimensions. */
export type ModelIdentity = z.output<typeof identitySchema>;

/** Of the decoder's first layer, where layers differ in their heads. */
export async function identify({ file, decoder }: ModelFacts): Promise<ModelIdentity> {
  const site = decoder[0]!;
  return {
    graph: await fingerprint(file),
    weights: await weightsDigest(file),
    layers: decoder.length,
    heads: site.numHeads,
    kvHeads: site.kvHeads,
    headDim: site.headDim,
    form: [
      [...new Set(decoder.map(({ form }) => form))].join('+'),
      ...(site.elemType === undefined ? [] : [dataTypeName(site.elemType)]),
    ].join(' '),
  };
}

const NAMES: readonly (readonly [keyof ModelIdentity, string])[] = [
  ['layers', 'layers'],
  ['heads', 'query heads'],
  ['kvHeads', 'key-value heads'],
  ['headDim', 'numbers a head'],
  ['form', 'attention written as'],
];

/** What of `found` differs from `expected`, in words; empty for one and the same model. */
export function differences(found: ModelIdentity, expected: ModelIdentity): string[] {
  const shape = NAMES.filter(([key]) => found[key] !== expected[key]).map(
    ([key, name]) => `${name}: ${found[key]} instead of ${expected[key]}`,
  );
  if (shape.length > 0) return shape;
  if (found.graph !== expected.graph) return ['another graph of the same shape'];
  return found.weights === expected.weights ? [] : ['other weights in the same graph'];
}

/** Bytes of a window, and windows of a tensor: its start, its middle, its end. */
const WINDOW = 256;
const PLACES = [0, 0.5, 1] as const;

/**
 * SHA-256 over windows of every weight that was left in a file, hex. A model that was trained further differs in nearly
 * every number, so that a fraction of a per cent of the bytes tells; a megabyte changed by hand between windows does not.
 */
async function weightsDigest({ model, source }: OnnxFile): Promise<string> {
  const others = new Map<string, ByteSource>();
  const chunks: Uint8Array[] = [];
  try {
    for (const { name, payload } of model.graph.initializers) {
      if (payload === undefined || payload.kind === 'strings') continue;
      let from = source;
      let range: { offset: number; length: number };
      if (payload.kind === 'inline') {
        // What is in memory is part of the graph's own fingerprint.
        if (payload.piece instanceof Uint8Array) continue;
        range = payload.piece;
      } else {
        from = others.get(payload.location) ?? (await beside(source, payload.location));
        others.set(payload.location, from);
        range = { offset: payload.offset, length: payload.length ?? from.size - payload.offset };
      }
      chunks.push(new TextEncoder().encode(`${name}:${range.length};`));
      for (const place of PLACES) {
        const offset = range.offset + Math.floor(Math.max(0, range.length - WINDOW) * place);
        chunks.push((await from.read({ offset, length: Math.min(WINDOW, range.length) })).slice());
      }
    }
  } finally {
    for (const other of others.values()) other.close();
  }
  return sha256(...chunks);
}

/** @throws AttuneError EXTERNAL_DATA_MISSING for a model from bytes alone */
async function beside(source: ByteSource, location: string): Promise<ByteSource> {
  const other = await source.beside?.(location);
  if (other) return other;
  throw new AttuneError('EXTERNAL_DATA_MISSING', {
    at: source.name,
    found: 'a graph from bytes alone',
    expected: `its weights, ${location}`,
    hint: 'Load the model through attune(), or open the graph from a file.',
  });
}
