/** What attune adds to a bundle for browsers, transformers.js, onnxruntime and zod apart, minified and with gzip. */
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

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

export async function bundleSizes(): Promise<BundleSize[]> {
  const sizes: BundleSize[] = [];
  for (const [name, contents, bound] of APPS) {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: REPOSITORY, loader: 'ts' },
      bundle: true,
      write: false,
      minify: true,
      format: 'esm',
      platform: 'browser',
      external: APART,
      logLevel: 'silent',
    });
    const bytes = gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
    sizes.push({ name: `bundle, ${name}`, bytes, ...(bound && { bound }) });
  }
  return sizes;
}
