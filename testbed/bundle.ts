/**
 * Programs of tests as plain JavaScript, so that tests which start them many times start them in a tenth of a second. Made with the
 * bundler that runs the tests; packages stay outside.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const repository = fileURLToPath(new URL('..', import.meta.url));

export interface Bundle extends Disposable {
  /** The first program; the others lie beside it. */
  readonly program: string;
}

/** @param sources paths from the repository's root; each becomes a program of its file's name */
export async function bundle(...sources: readonly string[]): Promise<Bundle> {
  // Below the repository, where packages are found.
  const cache = join(repository, '.attune', 'bundles');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'bundle-'));
  const nameOf = (source: string) => basename(source, '.ts');
  await build({
    root: repository,
    configFile: false,
    logLevel: 'silent',
    build: {
      ssr: true,
      outDir: folder,
      minify: false,
      rollupOptions: {
        input: Object.fromEntries(sources.map((source) => [nameOf(source), join(repository, source)])),
        output: { entryFileNames: '[name].js', format: 'es' },
      },
    },
  });
  return {
    program: join(folder, `${nameOf(sources[0]!)}.js`),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
