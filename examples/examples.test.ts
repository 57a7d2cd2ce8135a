/** Every example runs from start to end and prints what it promises. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bundle, bundle } from '../testbed/bundle.ts';

const FOLDER = dirname(fileURLToPath(import.meta.url));

const PROMISES: Record<string, RegExp[]> = {
  '01-look-inside.ts': [/28 hook points/, /blocks\.1\.attn\.hook_pattern: [01]\.\d{3} /, /ablated:/],
  '02-zerotuning.ts': [/γ = 4: next ".+" p [01]\.\d{4}, entropy/, /afterwards: /, /as before: true/],
  '07-long-chat.ts': [
    /280 tokens, 1\d\d keys: 0 to 3, and 180 to 278; said:/,
    /1120 tokens, 1\d\d keys: 0 to 3, and 996 to 1118; said:/,
  ],
  '06-hallucination.ts': [
    /sinks: dimensions \d+.*τ = \d/,
    /untouched: \d+ of \d+ things named are not there/,
    /PAI: \d+ of/,
    /VHD, layer 3: \d/,
  ],
  '03-position-bias.ts': [
    /3 documents/,
    /untouched: (.* [01]\.\d{3} \| ){3}/,
    /pine: .*; logits differ by 0\.000[0-9] at most/,
  ],
  '04-evaluate.ts': [
    /worlds-choice, baseline: \d+\.\d % of 40; \d+ ms/,
    /moods, zerotuning \{"gamma":2\}: \d+\.\d % of 40, -?\d+\.\d points \(p [01]\.\d{3}\); \d+ ms/,
    /gates hold: true/,
  ],
  '05-calibrate.ts': [
    /layer 4: to the first token/,
    /\d settings on 15 items: /,
    /held out: entropy/,
    /in force: 1 intervention/,
  ],
};

let programs: Bundle;
beforeAll(async () => {
  programs = await bundle(...Object.keys(PROMISES).map((name) => `examples/${name}`));
});
afterAll(() => programs[Symbol.dispose]());

test('every example has its promises, and README links it', () => {
  const examples = readdirSync(FOLDER).filter((name) => /^\d.*\.ts$/.test(name));
  expect(examples.sort()).toEqual(Object.keys(PROMISES).sort());
  const readme = readFileSync(join(FOLDER, '..', 'README.md'), 'utf8');
  expect(examples.filter((name) => !readme.includes(`](examples/${name})`))).toEqual([]);
});

test.each(Object.entries(PROMISES))('%s', async (name, promises) => {
  const output = await new Promise<string>((done, fail) => {
    execFile(process.execPath, programs.argv(basename(name, '.ts')), (error, stdout, stderr) => {
      if (error) fail(new Error(`${error.message}\n${stderr}`));
      else done(stdout);
    });
  });
  for (const promise of promises) expect(output).toMatch(promise);
});
