/** What attune adds to a bundle for browsers, transformers.js, onnxruntime and zod apart, minified and with gzip. */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const APART = ['@huggingface/transformers', 'onnxruntime-web', 'onnxruntime-node', 'zod'];

/** Bytes, gzip. */
const BOUND = 120_000;

export interface BundleSize {
  readonly name: string;
  readonly bytes: number;
  readonly bound?: number;
}

const APPS = [
  ['an app with one method', 'export { attune, zeroTuning } from "./index.ts"', BOUND],
  ['everything in the root', 'export * from "./index.ts"', undefined],
  ['attune/hooks', 'export * from "./hooks/index.ts"', undefined],
  ['attune/interventions', 'export * from "./interventions/index.ts"', undefined],
  ['attune/calibration', 'export * from "./calibration/index.ts"', undefined],
] as const;

/** @returns for each app the bytes that a page loads: chunks that are imported when they are wanted (the native runtime) are not counted */
export async function bundleSizes(): Promise<BundleSize[]> {
  const sizes: BundleSize[] = [];
  for (const [name, contents, bound] of APPS) {
    const { outputFiles, metafile } = await build({
      stdin: { contents, resolveDir: REPOSITORY, loader: 'ts' },
      bundle: true,
      splitting: true,
      write: false,
      metafile: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      external: APART,
      logLevel: 'silent',
      absWorkingDir: REPOSITORY,
      outdir: 'bundle',
    });
    const loaded = loadedAtOnce(metafile.outputs);
    const bytes = outputFiles
      .filter(({ path }) => loaded.has(relative(REPOSITORY, path)))
      .reduce((sum, { contents: chunk }) => sum + gzipSync(chunk, { level: 9 }).length, 0);
    sizes.push({ name: `bundle, ${name}`, bytes, ...(bound && { bound }) });
  }
  return sizes;
}

/** The entry and what it imports, directly or not. */
function loadedAtOnce(outputs: Metafile['outputs']): Set<string> {
  const loaded = new Set<string>();
  const visit = (path: string): void => {
    if (loaded.has(path) || !outputs[path]) return;
    loaded.add(path);
    for (const { path: next, kind } of outputs[path].imports) if (kind === 'import-statement') visit(next);
  };
  for (const [path, { entryPoint }] of Object.entries(outputs)) if (entryPoint === '<stdin>') visit(path);
  return loaded;
}
