/**
 * Damaged files: cut short, bits flipped, nodes taken out. Recognition answers or raises a typed error, and what it
 * answers speaks of values that exist.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deepModel } from '../bench/graph/deep-model.ts';
import { isAttuneError } from '../errors.ts';
import { assemble, changeGraph, changeModel, encodeModel, type Model, openModel } from '../onnx/index.ts';
import { fixtureNames, loadFixture } from '../testbed/fixtures/load.ts';
import { type Recognition, recognise } from './index.ts';
import { fusedModel, packedModel } from './sketch.ts';

const COPIES_PER_WAY = 240;

/** mulberry32: seeded, so a failure can be repeated. */
function randomSource(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Damage = (bytes: Uint8Array, random: () => number) => Uint8Array;

const truncated: Damage = (bytes, random) => bytes.slice(0, Math.floor(random() * bytes.length));

const flipped: Damage = (bytes, random) => {
  const copy = bytes.slice();
  for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--) {
    const at = Math.floor(random() * copy.length);
    copy[at] = copy[at]! ^ (1 << Math.floor(random() * 8));
  }
  return copy;
};

const models: readonly [string, Model][] = [
  ['decomposed', deepModel({ layers: 1 })],
  ['fused', fusedModel()],
  ['packed', packedModel()],
];

async function bytesOf(model: Model): Promise<Uint8Array> {
  const nothing = { size: 0, name: 'nothing', read: async () => new Uint8Array(0), close() {} };
  return assemble(encodeModel(model), nothing);
}

/** 'typed error', or 'answer' after looking at what was answered. */
async function outcome(run: () => Promise<Recognition> | Recognition): Promise<'answer' | 'typed error'> {
  let found: Recognition;
  try {
    found = await run();
  } catch (error) {
    if (isAttuneError(error)) return 'typed error';
    throw error;
  }
  const known = new Set(['']);
  for (const { name } of [...found.model.graph.inputs, ...found.model.graph.initializers]) known.add(name);
  for (const node of found.model.graph.nodes) for (const name of node.outputs) known.add(name);
  for (const site of found.sites) {
    expect(site.numHeads).toBeGreaterThan(0);
    expect(site.headDim).toBeGreaterThan(0);
    if (site.scope.length > 0) continue;
    for (const place of [site.q.final, site.k.final, site.v.final, site.scores, site.pattern, site.z]) {
      if (place) expect(known).toContain(place.value);
    }
  }
  return 'answer';
}

/** Exported files are larger, so fewer copies are made of them. */
const EXPORTED = fixtureNames().slice(0, 3);
const EXPORTED_COPIES = 40;

test.each(EXPORTED)('bit-flipped copies of %s', async (name) => {
  const { folder, files } = loadFixture(name);
  const bytes = new Uint8Array(readFileSync(join(folder, files[0]!.file)));
  const random = randomSource(name.length);
  const outcomes = { answer: 0, 'typed error': 0 };
  for (let copy = 0; copy < EXPORTED_COPIES; copy++) {
    const damaged = flipped(bytes, random);
    outcomes[await outcome(async () => recognise((await openModel(damaged)).model))]++;
  }
  expect(outcomes.answer).toBeGreaterThan(0);
});

describe.each(models)('%s', (_, model) => {
  test.each([
    ['truncated', truncated],
    ['bit-flipped', flipped],
  ] as const)('%s copies', async (way, damage) => {
    const bytes = await bytesOf(model);
    const random = randomSource(way.length);
    const outcomes = { answer: 0, 'typed error': 0 };
    for (let copy = 0; copy < COPIES_PER_WAY; copy++) {
      const damaged = damage(bytes, random);
      outcomes[await outcome(async () => recognise((await openModel(damaged)).model))]++;
    }
    expect(outcomes['typed error']).toBeGreaterThan(0);
    if (way === 'bit-flipped') expect(outcomes.answer).toBeGreaterThan(0);
  });

  test('copies with nodes taken out', async () => {
    const random = randomSource(7);
    for (let copy = 0; copy < COPIES_PER_WAY; copy++) {
      const gone = new Set([0, 1, 2].map(() => Math.floor(random() * model.graph.nodes.length)));
      const nodes = model.graph.nodes.filter((_, i) => !gone.has(i));
      await outcome(() => recognise(changeModel(model, { graph: changeGraph(model.graph, { nodes }) })));
    }
  });
});
