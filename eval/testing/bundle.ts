/**
 * The toy programs as plain JavaScript, so that tests which start them many times start them in a tenth of a second. Made with the
 * bundler that runs the tests; packages stay outside.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const repository = fileURLToPath(new URL('../..', import.meta.url));

export interface Bundle extends Disposable {
  /** eval-toy.js; toy-worker.js lies beside it. */
  program: string;
}

export async function bundleToy(): Promise<Bundle> {
  // Below the repository, where packages are found.
  const cache = join(repository, '.attune', 'toy');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'bundle-'));
  await build({
    root: repository,
    configFile: false,
    logLevel: 'silent',
    build: {
      ssr: true,
      outDir: folder,
      minify: false,
      rollupOptions: {
        input: ['eval-toy', 'toy-worker'].map((name) => join(repository, 'eval/testing', `${name}.ts`)),
        output: { entryFileNames: '[name].js', format: 'es' },
      },
    },
  });
  return {
    program: join(folder, 'eval-toy.js'),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
