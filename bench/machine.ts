/** What a benchmark ran on. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGB: number;
  readonly platform: string;
  readonly node: string;
  readonly onnxruntime: string;
  readonly transformers: string;
  /** Processes that wanted to run in the last minute: above `cores`, other work was in the way. */
  readonly load: number;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()}`,
    node: process.versions.node,
    onnxruntime: installedVersion('onnxruntime-node'),
    transformers: installedVersion('@huggingface/transformers'),
    load: Math.round(loadavg()[0]! * 10) / 10,
  };
}

/** The version in the nearest package.json above a package's entry: not every package exports that file. */
function installedVersion(name: string): string {
  const require = createRequire(import.meta.url);
  const folders = require.resolve.paths(name) ?? [];
  for (const folder of folders) {
    try {
      const { version } = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as {
        version: string;
      };
      return version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return `not found above ${dirname(import.meta.dirname)}`;
}
