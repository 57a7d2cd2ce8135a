/**
 * Weights beside the graphs of a local folder. transformers.js fetches them in a promise of which nobody sees the failure, so that a
 * file that is not there ends the process: what its configuration names is looked for before it is asked.
 */
import { AttuneError } from '../../errors.ts';
import { inNode, nodeModule } from '../../onnx/index.ts';
import { DTYPES, type Dtype, modelFolders } from './files.ts';
import type { LoadAttempt } from './load-failure.ts';

/** How many files of weights belong to a graph, by its file's name, by the name without dtype, or for all. */
type ExternalData = boolean | number | Readonly<Record<string, boolean | number>> | null | undefined;

interface Attempt extends LoadAttempt {
  readonly options: LoadAttempt['options'] & { readonly use_external_data_format?: ExternalData };
}

/** @throws AttuneError EXTERNAL_DATA_MISSING */
export async function refuseMissingData({ idOrFolder, options, env }: Attempt): Promise<void> {
  if (!inNode()) return;
  const { existsSync, readdirSync, readFileSync } = nodeModule('node:fs');
  const { join } = nodeModule('node:path');
  const places = { localModelPath: env.localModelPath ?? null, cacheDir: null, revision: 'main' };
  const folders = await modelFolders(idOrFolder, places);
  const folder = folders.find((each) => existsSync(join(each, 'config.json')));
  const graphs = folder && join(folder, options.subfolder ?? 'onnx');
  if (!folder || !graphs || !existsSync(graphs)) return;
  const external =
    options.use_external_data_format ?? configured(readFileSync(join(folder, 'config.json'), 'utf8'));
  const files = readdirSync(graphs);
  for (const { graph, base } of graphsOf(files, options.dtype)) {
    const missing = dataFiles(graph, countOf(external, graph, base)).find((name) => !files.includes(name));
    if (missing === undefined) continue;
    throw new AttuneError('EXTERNAL_DATA_MISSING', {
      at: join(graphs, graph),
      found: `no ${missing} beside it`,
      expected: 'the weights, which are in a file of their own',
      hint: `Fetch ${missing} too: the graph and its weights belong into one folder.`,
    });
  }
}

function configured(text: string): ExternalData {
  try {
    const config = JSON.parse(text) as {
      'transformers.js_config'?: { use_external_data_format?: ExternalData };
    };
    return config['transformers.js_config']?.use_external_data_format;
  } catch {
    // Which transformers.js says itself.
    return undefined;
  }
}

/** The graphs of the dtypes that are asked for; fp32 where none is. */
function graphsOf(files: readonly string[], dtype: Attempt['options']['dtype']) {
  const asked = typeof dtype === 'object' && dtype !== null ? Object.values(dtype) : [dtype ?? 'fp32'];
  const endings = asked.flatMap((one) => (one === 'auto' ? [] : [`${DTYPES[one as Dtype]}.onnx`]));
  const others = Object.values(DTYPES).filter((suffix) => suffix !== '');
  return files.flatMap((graph) => {
    const ending = endings.find((each) => graph.endsWith(each));
    if (ending === undefined) return [];
    const base = graph.slice(0, -ending.length);
    return ending === '.onnx' && others.some((suffix) => base.endsWith(suffix)) ? [] : [{ graph, base }];
  });
}

function countOf(external: ExternalData, graph: string, base: string): number {
  if (typeof external !== 'object' || external === null) return Number(external ?? 0);
  return Number(external[graph] ?? external[base] ?? 0);
}

const dataFiles = (graph: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${graph}_data${i === 0 ? '' : `_${i}`}`);
