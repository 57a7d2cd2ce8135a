/** attune calibrate --intervention var, as a user runs it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AutoModelForImageTextToText } from '@huggingface/transformers';
import { afterAll, expect, test } from 'vitest';
import { applyProfile, readProfile } from '../../calibration/index.ts';
import { from_pretrained } from '../../hooks/model/index.ts';
import { calibrateCommand } from './calibrate.ts';

const MODEL = 'testbed/models/worlds-vlm';
const folder = mkdtempSync(join(tmpdir(), 'attune-var-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(...flags: string[]): Promise<string> {
  let text = '';
  const world = { stdout: { write: (more: string) => (text += more) }, stderr: { write: () => true } };
  await calibrateCommand(['--model', MODEL, '--intervention', 'var', ...flags], world);
  return text;
}

test('the profile names dimensions and τ of this model, and can be applied to it', async () => {
  const out = join(folder, 'var.profile.json');
  const flags = ['--task', 'worlds-captions-short', '--samples', '4', '--out', out, '--json'];
  const document = JSON.parse(await run(...flags));
  expect(document).toMatchObject({ profile: out, heldOut: null, search: { settings: 0, samples: 4 } });
  const { sinks } = document;
  expect(sinks.tau).toBeLessThan(sinks.bound);
  expect(sinks.sinks.picture).toBeGreaterThan(0);
  expect(sinks.sinks.picture).toBeLessThan(0.5);
  const written = JSON.parse(readFileSync(out, 'utf8'));
  expect(written.interventions).toEqual([
    expect.objectContaining({
      intervention: 'var',
      dimensions: sinks.dimensions,
      tau: sinks.tau,
      rho: 0.5,
      p: 0.6,
    }),
  ]);
  expect(written.data[0]).toMatchObject({ task: 'worlds-captions-short', split: 'calibration' });
  const model = await from_pretrained(AutoModelForImageTextToText as never, MODEL, { dtype: 'fp32' });
  await applyProfile(model as never, await readProfile(out));
  await (model as { dispose(): Promise<unknown> }).dispose();
});

test('flags of a search are refused', async () => {
  await expect(run('--task', 'worlds-captions-short', '--margin', '0.1')).rejects.toThrow(
    /ARGUMENT_INVALID.*--margin.*without a search/,
  );
});

test('tasks without pictures say nothing of it', async () => {
  await expect(
    run('--task', 'worlds-sentiment', '--samples', '2', '--out', join(folder, 'x.json')),
  ).rejects.toThrow(/CALIBRATION_TOO_FEW/);
});
