/** Finding the .onnx graphs that a command is pointed at: a file, an onnx/ folder, or a folder in Hub layout. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { AttuneError } from '../../errors.ts';

/**
 * @param file name inside the folder, for folders with several graphs
 * @throws AttuneError FILE_NOT_FOUND, GRAPH_NOT_FOUND, GRAPH_AMBIGUOUS listing the candidates
 */
export function findGraph(target: string, file?: string): string {
  const candidates = findGraphs(target);
  if (file !== undefined) {
    const match = candidates.find((path) => path.endsWith(file) || basename(path, '.onnx') === file);
    if (match) return match;
    throw new AttuneError('GRAPH_NOT_FOUND', {
      at: target,
      found: `no ${file}`,
      expected: names(target, candidates),
    });
  }
  if (candidates.length === 1) return candidates[0]!;
  const usual = candidates.find((path) => basename(path) === 'model.onnx');
  if (usual) return usual;
  throw new AttuneError('GRAPH_AMBIGUOUS', {
    at: target,
    found: `${candidates.length} graphs: ${names(target, candidates)}`,
    hint: 'Name one with --file, or give its path.',
  });
}

/** All graphs below a target. */
export function findGraphs(target: string): string[] {
  const stat = statSync(target, { throwIfNoEntry: false });
  if (!stat) throw new AttuneError('FILE_NOT_FOUND', { at: target, found: 'no such file or folder' });
  if (stat.isFile()) return [target];
  const folders = [target, join(target, 'onnx')].filter((folder) => existsSync(folder));
  const found = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.onnx'))
      .map((name) => join(folder, name)),
  );
  if (found.length > 0) return found.sort();
  throw new AttuneError('GRAPH_NOT_FOUND', {
    at: target,
    found: 'no .onnx file in the folder or its onnx/ folder',
    hint: 'Point at a folder in Hub layout or at an .onnx file.',
  });
}

/** The model's config.json beside the graph or one level up; undefined when there is none. */
export function readConfig(graph: string): Record<string, unknown> | undefined {
  for (const folder of [dirname(resolve(graph)), dirname(dirname(resolve(graph)))]) {
    const path = join(folder, 'config.json');
    if (!existsSync(path)) continue;
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    } catch (cause) {
      throw new AttuneError('CONFIG_MALFORMED', {
        at: path,
        found: (cause as Error).message,
        expected: 'JSON',
        cause,
      });
    }
  }
  return undefined;
}

function names(target: string, paths: readonly string[]): string {
  return paths.map((path) => path.slice(target.length).replace(/^[/\\]/, '') || path).join(', ');
}
