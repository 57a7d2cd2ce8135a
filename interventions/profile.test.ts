import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AutoModelForCausalLM } from '@huggingface/transformers';
import { afterAll, expect, test } from 'vitest';
import { attune, makeProfile, zeroTuning } from '../index.ts';
import { loadFixture } from '../testbed/fixtures/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-profile-'));
afterAll(() => rmSync(folder, { recursive: true }));
const gqa = loadFixture('llama-gqa').folder;

test('a profile survives its file and is applied at load', async () => {
  const path = join(folder, 'zerotuning.profile.json');
  await using made = await attune(AutoModelForCausalLM, gqa, { dtype: 'fp32' });
  const chosen = zeroTuning({ gamma: 1.4, heads: [0, 3] });
  writeFileSync(path, JSON.stringify(await makeProfile(made, [chosen], { model: 'llama-gqa', seed: 7 })));
  await using model = await attune(AutoModelForCausalLM, gqa, { dtype: 'fp32', profile: path });
  expect(model.attune.interventions.map(({ hash }) => hash)).toEqual([chosen.hash]);
});

test('a profile of another model is refused with both fingerprints', async () => {
  await using made = await attune(AutoModelForCausalLM, gqa, { dtype: 'fp32' });
  const profile = await makeProfile(made, [zeroTuning({ gamma: 2 })], { model: 'llama-gqa' });
  const other = attune(AutoModelForCausalLM, loadFixture('llama-eager').folder, { dtype: 'fp32', profile });
  await expect(other).rejects.toThrow(/PROFILE_OF_ANOTHER_MODEL.*llama-gqa/);
});

test.each([
  [{}, /PROFILE_INVALID.*profile\.attune/],
  [
    { attune: 'profile', version: 1, fingerprint: 'short', interventions: [] },
    /PROFILE_INVALID.*fingerprint/,
  ],
  [join(folder, 'absent.json'), /PROFILE_INVALID.*absent\.json/],
])('%j is refused before the model is loaded', async (profile, message) => {
  await expect(attune(AutoModelForCausalLM, './nowhere', { profile })).rejects.toThrow(message);
});
