/** Merged decoders hold a layer in each branch of an If: what is done to one is done to both, once. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { oneOfTwins, withTwins } from './index.ts';

const FIXTURES = join(import.meta.dirname, '..', '..', 'testbed', 'fixtures');

test.each(['bart', 't5'])('%s: edits of one of each layer reach every site once', async (name) => {
  const file = await openModel(join(FIXTURES, name, 'onnx', 'decoder_model_merged.onnx'));
  const { sites } = recognise(file.model, { source: file.source });
  file.close();
  const chosen = oneOfTwins(sites);
  expect(chosen).toHaveLength(sites.length / 2);
  const edits = chosen.map((site) => ({ kind: 'bias' as const, site, build: () => '' }));
  const reached = edits.flatMap((edit) =>
    withTwins(edit, sites).flatMap((one) => ('site' in one ? [one.site] : [])),
  );
  expect(new Set(reached)).toEqual(new Set(sites));
  expect(reached).toHaveLength(sites.length);
});
