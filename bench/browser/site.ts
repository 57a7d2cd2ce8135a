/** The site of the browser check: the page, bundled without any shim, the testbed's models, and the ONNX Runtime of transformers.js. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Site, serve } from './serve.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export interface CheckSite extends Site {
  /** Warnings of the bundler. */
  readonly warnings: readonly string[];
}

export async function checkSite(isolated: boolean): Promise<CheckSite> {
  const folder = scratch();
  const { warnings } = await build({
    absWorkingDir: REPOSITORY,
    entryPoints: ['bench/browser/page.ts'],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    logLevel: 'silent',
  });
  writeFileSync(
    join(folder, 'index.html'),
    '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>attune</title><script type="module" src="/page.js"></script></html>',
  );
  const folders = { '': folder, models: join(REPOSITORY, 'testbed/models'), ort: runtimeFolder() };
  const site = await serve(folders, { isolated });
  return {
    origin: site.origin,
    warnings: warnings.map(({ text }) => text),
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Below the repository, where packages are found. */
export function scratch(): string {
  const cache = join(REPOSITORY, '.attune', 'browser');
  mkdirSync(cache, { recursive: true });
  return mkdtempSync(join(cache, 'site-'));
}

/** dist/ of the onnxruntime-web that transformers.js brings. */
function runtimeFolder(): string {
  const transformers = createRequire(import.meta.url).resolve('@huggingface/transformers');
  return dirname(createRequire(transformers).resolve('onnxruntime-web'));
}
