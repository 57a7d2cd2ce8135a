/** Every graph of every fixture: the sites, heads and residual layers its configuration promises. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModel } from '../onnx/index.ts';
import { fixtureNames, loadFixture } from '../testbed/fixtures/load.ts';
import { type Recognition, recognise, type Site } from './index.ts';

const files = fixtureNames().flatMap((name) => {
  const { folder, files: graphs, config } = loadFixture(name);
  return graphs.map(({ file, form }) => ({
    label: `${name}/${file}`,
    file,
    path: join(folder, file),
    form,
    config,
  }));
});

test('there are fixtures', () => expect(files.length).toBeGreaterThan(0));

/**
 * Number of layers in this file; the configuration tells by tower, and is the language model's for three-part models.
 * LLaVA takes features from the last layer but one, so of the vision tower's two layers one is exported.
 */
function expectedLayers(file: string, layers: unknown): number {
  if (file.includes('embed_tokens')) return 0;
  if (file.includes('vision_encoder')) return 1;
  if (typeof layers === 'number') return layers;
  return (layers as Record<string, number>)[file.includes('encoder') ? 'encoder' : 'decoder']!;
}

describe.each(files)('$label', ({ file, path, form, config }) => {
  const recognised = openModel(path).then((opened) => {
    const found = recognise(opened.model, { source: opened.source });
    opened.close();
    return found;
  });
  const layers = expectedLayers(file, config.layers);

  test('sites with the heads of the configuration', async () => {
    const { sites } = await recognised;
    expect(new Set(sites.map(({ layer }) => layer))).toEqual(
      new Set(Array.from({ length: layers }, (_, i) => i)),
    );
    const { heads, kvHeads, headDim } = config;
    for (const site of sites) {
      expect(site.form).toMatch(new RegExp(form.match(/P\d/g)!.join('|')));
      if (file.includes('vision')) continue;
      expect(site).toMatchObject({ numHeads: heads, kvHeads, headDim, valueDim: headDim });
    }
  });

  test('every point of a site exists as a value, or is listed as absent', async () => {
    for (const site of (await recognised).sites) {
      const { scores, pattern, z } = site;
      const places = { q: site.q.final, k: site.k.final, v: site.v.final, scores, pattern, z };
      const missing = Object.entries(places).flatMap(([point, place]) => (place ? [] : [point]));
      expect(missing.sort()).toEqual([...site.absent].sort());
      expect(site.out).not.toBe(undefined);
      expect(site.zFlat).not.toBe(undefined);
    }
  });

  test('complete residual layers around the sites', async () => {
    const found = await recognised;
    expect(found.residual.length).toBe(layersOf(found));
    for (const layer of found.residual) {
      const named = (['pre', 'attnOut', 'mlpOut', 'post'] as const).filter((key) => layer[key] !== undefined);
      const enabled = (layer.enable ?? []).map(({ which }) => which);
      expect([...named, ...enabled]).toEqual(expect.arrayContaining(['pre', 'attnOut', 'mlpOut', 'post']));
    }
  });

  test('nothing is refused and nothing almost matched', async () => {
    const { refused, nearMisses } = await recognised;
    expect(refused.map(({ code }) => code)).toEqual(layers === 0 ? ['NO_ATTENTION'] : []);
    expect(nearMisses).toEqual([]);
  });
});

/** Layers the sites lie in: the branches of a merged decoder count apart. */
function layersOf({ sites }: Recognition): number {
  const key = ({ scope, tower, layer }: Site) =>
    [...scope.map(({ position, attribute }) => `${position}.${attribute}`), tower, layer].join('/');
  return new Set(sites.map(key)).size;
}
