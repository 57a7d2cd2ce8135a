/** README.md: its code runs, its links lead somewhere, its commands and its table are those of the programs. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { COMMANDS } from '../eval/cli/commands.ts';
import { STAGES } from '../eval/cli/demo-stages.ts';

const repository = dirname(dirname(fileURLToPath(import.meta.url)));
const page = readFileSync(join(repository, 'README.md'), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, 'g'))].map(([, text]) => text!);

test('the code runs, on a model of the repository instead of one of the Hub', async () => {
  const [code, ...others] = blocks('ts');
  expect(others).toEqual([]);
  const lm = join(repository, 'testbed/models/worlds-lm');
  const local = code!
    .replace("'attune'", JSON.stringify(join(repository, 'index.ts')))
    .replace(/const id = .*;/, `const id = ${JSON.stringify(lm)};`)
    .replace("dtype: 'q4'", "dtype: 'fp32'");
  expect(local).not.toBe(code);
  // Beside the packages it imports.
  const folder = mkdtempSync(join(repository, 'examples', '.readme-'));
  try {
    const file = join(folder, 'readme.ts');
    writeFileSync(
      file,
      `${local}\nconsole.log(model.attune.interventions.length, [...cache.keys()].join());\n`,
    );
    const output = await new Promise<string>((done, fail) => {
      execFile(process.execPath, ['--import', 'tsx', file], (error, stdout, stderr) =>
        error ? fail(new Error(`${error.message}\n${stderr}`)) : done(stdout),
      );
    });
    expect(output).toMatch(/^0 blocks\.0\.attn\.hook_pattern,blocks\.1\.attn\.hook_pattern,/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('every link leads to a file', () => {
  const links = [...page.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target!);
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter((target) => !existsSync(join(repository, target)))).toEqual([]);
});

test('every command is one, and every script is one', () => {
  const shell = blocks('sh').join('\n');
  const commands = [...shell.matchAll(/attune -- (\w+)/g)].map(([, name]) => name!);
  expect(commands.length).toBeGreaterThan(3);
  expect(commands.filter((name) => !(name in COMMANDS))).toEqual([]);
  const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
  const run = [...page.matchAll(/npm run (?:-s )?([a-z-]+)/g)].map(([, name]) => name!);
  expect(run.filter((name) => !(name in scripts))).toEqual([]);
});

test('the table is that of the demo: its tasks and its methods', () => {
  const [table] = blocks('text');
  for (const { model, tasks, methods } of STAGES) {
    for (const { task, title } of tasks) {
      const [, rest] = table!.split(`${model}: ${title} (${task}, n = `);
      const [block] = rest!.split('\n\n');
      expect(block!.match(/^ {2}\S+/gm)).toEqual(
        ['baseline', ...methods.map((one) => one.title)].map((one) => `  ${one}`),
      );
    }
  }
});
