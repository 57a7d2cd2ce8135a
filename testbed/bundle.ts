/**
 * Programs of tests as plain JavaScript, so that tests which start them many times start them in a tenth of a second where tsx takes
 * seconds. Packages stay outside.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

const repository = fileURLToPath(new URL('..', import.meta.url));
const ONE_THREAD = 'testbed/one-thread.ts';

export interface Bundle extends Disposable {
  /** The first program; the others lie beside it. */
  readonly program: string;
  /** What comes after node for a program of models, by its file's name: its sessions run on one thread. */
  argv(name: string): readonly string[];
}

/** @param sources paths from the repository's root; each becomes a program of its file's name */
export async function bundle(...sources: readonly string[]): Promise<Bundle> {
  // Below the repository, where packages are found.
  const cache = join(repository, '.attune', 'bundles');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'bundle-'));
  const nameOf = (source: string) => basename(source, '.ts');
  await build({
    absWorkingDir: repository,
    entryPoints: Object.fromEntries([...sources, ONE_THREAD].map((source) => [nameOf(source), source])),
    outdir: folder,
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'silent',
    plugins: [filesBeside],
  });
  const pathOf = (name: string) => join(folder, `${name}.js`);
  return {
    program: pathOf(nameOf(sources[0]!)),
    argv: (name) => ['--import', pathToFileURL(pathOf(nameOf(ONE_THREAD))).href, pathOf(name)],
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** What a module reads beside itself lies beside its source; a program that it starts, by `extname`, in the bundle. */
const filesBeside: Plugin = {
  name: 'files-beside',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const source = JSON.stringify(pathToFileURL(path).href);
      const contents = text.includes('extname(import.meta.url)')
        ? text
        : text.replaceAll('import.meta.url', source);
      return { loader: 'ts', contents };
    });
  },
};
