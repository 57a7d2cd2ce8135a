import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM } from '@huggingface/transformers';
import { afterAll, expect, test } from 'vitest';
import { attune, makeProfile, zeroTuning } from '../index.ts';
import { loadFixture } from '../testbed/fixtures/load.ts';
import { readProfile } from './profile.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-profile-'));
afterAll(() => rmSync(folder, { recursive: true }));
const gqa = loadFixture('llama-gqa').folder;
const load = (from: string, options: object = {}) =>
  attune(AutoModelForCausalLM, from, { dtype: 'fp32', ...options });

test('a profile survives its file and is applied at load', async () => {
  const path = join(folder, 'zerotuning.profile.json');
  await using made = await load(gqa);
  const chosen = zeroTuning({ gamma: 1.4, heads: [0, 3] });
  writeFileSync(path, JSON.stringify(await makeProfile(made, [chosen], { model: 'llama-gqa', seed: 7 })));
  await using model = await load(gqa, { profile: path });
  expect(model.attune.interventions.map(({ hash }) => hash)).toEqual([chosen.hash]);
});

test('a profile of another export is refused, saying in what it differs', async () => {
  await using made = await load(gqa);
  const profile = await makeProfile(made, [zeroTuning({ gamma: 2 })], { model: 'llama-gqa' });
  const other = load(loadFixture('llama-eager').folder, { profile });
  await expect(other).rejects.toThrow(
    /PROFILE_OF_ANOTHER_MODEL.*attention written as: P6.* instead of P1.*llama-gqa/,
  );
  const smaller = load(loadFixture('qwen2-gqa').folder, { profile });
  await expect(smaller).rejects.toThrow(/PROFILE_OF_ANOTHER_MODEL/);
});

test('the same graph with other weights is another model', async () => {
  const copy = join(folder, 'trained-further');
  cpSync(gqa, copy, { recursive: true });
  await using made = await load(copy);
  const profile = await makeProfile(made, [zeroTuning({ gamma: 2 })]);
  await using same = await load(gqa, { profile });
  expect(same.attune.interventions).toHaveLength(1);

  const { file } = made.attune.facts;
  const weight = file.model.graph.initializers.find(({ payload }) => {
    return payload?.kind === 'inline' && !(payload.piece instanceof Uint8Array);
  })!.payload as { piece: { offset: number } };
  const bytes = readFileSync(join(copy, 'onnx', 'model.onnx'));
  bytes[weight.piece.offset]! ^= 1;
  writeFileSync(join(copy, 'onnx', 'model.onnx'), bytes);
  await expect(load(copy, { profile })).rejects.toThrow(
    /PROFILE_OF_ANOTHER_MODEL.*other weights in the same graph/,
  );
});

test('a profile without an identity is held against the graph alone', async () => {
  await using made = await load(gqa);
  const { identity: _, hash: __, ...old } = await makeProfile(made, [zeroTuning({ gamma: 2 })]);
  await using same = await load(gqa, { profile: old });
  expect(same.attune.interventions).toHaveLength(1);
  const profile = { ...old, fingerprint: 'a'.repeat(64) };
  await expect(load(gqa, { profile })).rejects.toThrow(/PROFILE_OF_ANOTHER_MODEL.*another graph/);
});

test('what was changed by hand is refused until someone vouches for it', async () => {
  await using made = await load(gqa);
  const profile = await makeProfile(made, [zeroTuning({ gamma: 2 })], { seed: 1 });
  const { hash: _, ...vouched } = { ...profile, seed: 2 };
  await expect(load('./nowhere', { profile: { ...profile, seed: 2 } })).rejects.toThrow(/PROFILE_CHANGED/);
  await using model = await load(gqa, { profile: vouched });
  expect(model.attune.interventions).toHaveLength(1);
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

test('a profile of a version that called the baseline untouched is read, hash and all', async () => {
  const path = fileURLToPath(
    new URL('../bench/results/profiles/worlds-choice.zerotuning.profile.json', import.meta.url),
  );
  const { heldOut } = JSON.parse(readFileSync(path, 'utf8'));
  const profile = await readProfile(path);
  expect(profile.heldOut).toMatchObject({
    baseline: heldOut.untouched,
    entropy: { baseline: heldOut.entropy.untouched },
  });
  expect(await readProfile(profile)).toEqual(profile);
});
