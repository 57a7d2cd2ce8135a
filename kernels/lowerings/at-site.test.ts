/** Sites written out: without an edit they compute what their operator did, cache and all; refusals name the reason. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  feedsOf,
  realRows,
  relativeDifference,
  runtime,
} from '../../hooks/session/fixture-runs.test-support.ts';
import { createSession } from '../../hooks/session/index.ts';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import type { Site } from '../../sites/site.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { headScale } from '../edits/head-scale.ts';
import { logitBias } from '../edits/logit-bias.ts';
import { temperature } from '../edits/temperature.ts';
import type { Edit, ExpandEdit } from '../plan.ts';

async function open(name: string, path = 'onnx/model.onnx') {
  const fixture = loadFixture(name);
  const file = await openModel(join(fixture.folder, path));
  const recognition = recognise(file.model, { source: file.source });
  const sites = recognition.sites.filter(({ attention }) => attention === 'self');
  const run = async (edits: readonly Edit[], feeds: Awaited<ReturnType<typeof feedsOf>>) => {
    await using session = await createSession(file, recognition, { edits }, { runtime });
    return await session.run(feeds);
  };
  const cases = fixture.cases.map((kase) => ({
    feeds: () => feedsOf(fixture, path, file, kase),
    padded: realRows(kase, path).some((row) => row.includes(false)),
  }));
  return { file, sites, run, cases };
}

const writtenOut = (site: Site, parts: Partial<ExpandEdit> = {}): ExpandEdit => ({
  kind: 'expand',
  site,
  edits: [],
  values: () => ({}),
  ...parts,
});

describe.each([
  'llama-gqa',
  'llama-gqa-separate',
  'llama-mha',
  'llama-opset23',
  'llama3-rope-gqa',
  'gemma2-gqa',
  'gemma3-gqa',
  'mistral-gqa',
  'phi3-gqa',
  'qwen2-gqa',
  'qwen3-gqa',
])('%s', (name) => {
  test('every layer written out: the same logits and the same cache', async () => {
    const { file, sites, run, cases } = await open(name);
    const all = sites.map((site) => writtenOut(site));
    let compared = 0;
    // Exported as they are, GQA graphs read padding on the left.
    for (const { feeds } of cases.filter(({ padded }) => !padded)) {
      const plain = await run([], await feeds());
      const expanded = await run(all, await feeds());
      for (const [output, tensor] of Object.entries(plain)) {
        expect(expanded[output]!.dims, output).toEqual(tensor.dims);
        expect(relativeDifference(expanded[output]!, tensor), output).toBeLessThan(1e-5);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(4);
    file.close();
  });
});

test('edits of one site go together, beside edits of other kinds', async () => {
  const { file, sites, run, cases } = await open('llama-gqa');
  const [site] = sites as [Site];
  const feeds = await cases[0]!.feeds();
  const half: ExpandEdit = writtenOut(site, {
    edits: [headScale.with()],
    values: ({ emit }) => ({ head_scale: emit.reshape(emit.scalar(0.5), [1, 1]) }),
  });
  const bias: Edit = {
    kind: 'bias',
    site,
    build: ({ emit }) => emit.reshape(emit.scalar(3), [1, 1, 1, 1]),
  };
  const tempered: ExpandEdit = writtenOut(site, {
    edits: [temperature.with()],
    values: ({ emit }) => ({ a: emit.reshape(emit.scalar(1), [1, 1]) }),
  });
  const plain = await run([], feeds);
  const halved = await run([half], feeds);
  expect(relativeDifference(halved.logits!, plain.logits!)).toBeGreaterThan(0.01);
  // A bias that is the same for all keys, and a temperature of 1, change nothing.
  const together = await run([tempered, bias, half], feeds);
  expect(relativeDifference(together.logits!, halved.logits!)).toBeLessThan(1e-5);
  file.close();
});

test.each([
  ['bert-fused', {}, /LOWERING_UNAVAILABLE.*projections inside/],
  ['llama-eager', { edits: [headScale.with()] }, /LOWERING_UNAVAILABLE.*'head-scale'.*probabilities/],
  ['llama-gqa', { edits: [headScale.with()] }, /KNOB_MISSING.*head_scale/],
  ['llama-gqa', { edits: [logitBias.with(), logitBias.with()] }, /EDIT_TWICE.*'logit-bias'/],
])('%s with %j is refused', async (name, parts, reason) => {
  const { file, sites, run, cases } = await open(name);
  await expect(run([writtenOut(sites[0]!, parts)], await cases[0]!.feeds())).rejects.toThrow(reason);
  file.close();
});
