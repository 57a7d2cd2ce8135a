/** What importing the root costs: no native library, and how much time. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

const REPOSITORY = fileURLToPath(new URL('.', import.meta.url));
let folder: string;

/** The root as a package has it: plain JavaScript, dependencies apart. */
beforeAll(async () => {
  mkdirSync(join(REPOSITORY, '.attune', 'bundles'), { recursive: true });
  // Below the repository, where packages are found.
  folder = mkdtempSync(join(REPOSITORY, '.attune', 'bundles', 'root-'));
  await build({
    absWorkingDir: REPOSITORY,
    entryPoints: { root: 'index.ts' },
    outdir: folder,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    outExtension: { '.js': '.mjs' },
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Cost {
  readonly libraries: readonly string[];
  /** Of this process alone, whatever else the machine does. */
  readonly milliseconds: number;
}

function costOfImport(): Cost {
  const program = `
    const before = process.cpuUsage();
    await import('./root.mjs');
    const { user, system } = process.cpuUsage(before);
    const libraries = process.report.getReport().sharedObjects.filter((path) => /[.]node$|onnxruntime|vips/.test(path));
    console.log(JSON.stringify({ libraries, milliseconds: (user + system) / 1000 }));`;
  const argv = ['--input-type=module', '--eval', program];
  return JSON.parse(execFileSync(process.execPath, argv, { cwd: folder, encoding: 'utf8' })) as Cost;
}

test('importing the root loads no native library', () => {
  const costs = Array.from({ length: 3 }, costOfImport);
  expect(costs.flatMap(({ libraries }) => libraries)).toEqual([]);
  const least = Math.min(...costs.map(({ milliseconds }) => milliseconds));
  // Printed, not held: on a busy machine the same work takes many times as long, of the processor too.
  console.log(`import of the root: ${least.toFixed(0)} ms of a processor`);
});
