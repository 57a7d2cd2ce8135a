/** Every graph of every fixture: the sites, heads and residual layers its configuration promises. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fixtureNames, loadFixture } from '../../testbed/fixtures/load.ts';
import { openModel } from '../onnx/index.ts';
import { type Recognition, recognise, type Site } from './index.ts';

const files = fixtureNames().flatMap((name) => {
  const { folder, files: graphs, config } = loadFixture(name);
  return graphs.map(({ file, form }) => ({
    label: `${name}/${file}`,
    path: join(folder, file),
    form,
    config,
  }));
});

test('there are fixtures', () => expect(files.length).toBeGreaterThan(0));

describe.each(files.filter(({ path }) => existsSync(path)))('$label', ({ path, form, config }) => {
  const recognised = openModel(path).then((file) => {
    const found = recognise(file.model, { source: file.source });
    file.close();
    return found;
  });

  test('sites with the heads of the configuration', async () => {
    const { sites } = await recognised;
    const { layers, heads, kvHeads, headDim } = config;
    expect(new Set(sites.map(({ layer }) => layer))).toEqual(
      new Set(Array.from({ length: layers! }, (_, i) => i)),
    );
    for (const site of sites) {
      expect(site).toMatchObject({ numHeads: heads, kvHeads, headDim, valueDim: headDim });
      if (/^P\d/.test(form)) expect(site.form.slice(0, 2)).toBe(form.slice(0, 2));
    }
  });

  test('every point of a site exists as a value, or is listed as absent', async () => {
    for (const site of (await recognised).sites) {
      const places = {
        q: site.q.final,
        k: site.k.final,
        v: site.v.final,
        scores: site.scores,
        pattern: site.pattern,
      };
      const missing = Object.entries({ ...places, z: site.z }).flatMap(([point, place]) =>
        place ? [] : [point],
      );
      expect(missing.sort()).toEqual([...site.absent].sort());
      expect(site.out).not.toBe(undefined);
      expect(site.zFlat).not.toBe(undefined);
    }
  });

  test('complete residual layers around the sites', async () => {
    const found = await recognised;
    expect(found.residual.length).toBe(layersOf(found));
    for (const layer of found.residual) {
      const named = new Set(
        ['pre', 'attnOut', 'mlpOut', 'post'].filter((key) => layer[key as 'pre'] !== undefined),
      );
      for (const { which } of layer.enable ?? []) named.add(which);
      expect(named).toEqual(new Set(['pre', 'attnOut', 'mlpOut', 'post']));
    }
  });

  test('nothing is refused and nothing almost matched', async () => {
    const { refused, nearMisses } = await recognised;
    expect([...refused, ...nearMisses]).toEqual([]);
  });
});

/** Layers the sites lie in: the branches of a merged decoder count apart. */
function layersOf({ sites }: Recognition): number {
  const key = (site: Site) =>
    [...site.scope.map(({ position, attribute }) => `${position}.${attribute}`), site.tower, site.layer].join(
      '/',
    );
  return new Set(sites.map(key)).size;
}
