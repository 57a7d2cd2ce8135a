/** Graphs behind the sessions of a model in a browser: what transformers.js handed over, or what it has in its cache. */
import { AttuneError } from '../../errors.ts';
import { type HeldSource, heldSource } from '../../onnx/index.ts';
import { type FileOptions, graphNames } from './files.ts';
import type { HostEnvironment } from './host-environment.ts';
import { addressesOf, type WebPlace, webFile } from './web-files.ts';

type Options = FileOptions & { readonly env: HostEnvironment };

/**
 * The graph that a session was made from, with its weights beside it.
 * @throws AttuneError DTYPE_UNKNOWN, GRAPH_NOT_FOUND, FETCH_FAILED
 */
export async function webGraphOfSession(
  id: string,
  sessionName: string,
  dtype: string,
  { subfolder, revision, modelFileName, env }: Options,
): Promise<HeldSource> {
  const place: WebPlace = { id, revision, env };
  const names = graphNames(sessionName, dtype, modelFileName);
  for (const name of names) {
    const path = `${subfolder}/${name}`;
    const blob = await webFile(place, path);
    // Read whole, as recognising attention looks at constants one by one.
    if (blob)
      return heldSource(new Uint8Array(await blob.arrayBuffer()), `${id}/${path}`, beside(place, subfolder));
  }
  const { local, remote } = addressesOf(place, `${subfolder}/${names[0]}`);
  throw new AttuneError('GRAPH_NOT_FOUND', {
    at: id,
    found: `no graph for session "${sessionName}" (${dtype})`,
    expected: [local, remote].filter((one) => one !== undefined).join(' or '),
    hint: 'Give what you gave to from_pretrained, with the same subfolder, revision and model_file_name.',
  });
}

/** What transformers.js loaded for a session that it left to us. */
export function loadedGraph(
  place: WebPlace,
  subfolder: string,
  sessionName: string,
  bytes: Uint8Array,
  externalData: unknown,
): HeldSource {
  const given = new Map(
    (Array.isArray(externalData) ? (externalData as { path?: string; data?: Uint8Array | Blob }[]) : []).map(
      ({ path, data }) => [path, data] as const,
    ),
  );
  const elsewhere = beside(place, subfolder);
  return heldSource(bytes, `${place.id}, ${sessionName}`, async (location) => {
    const data = given.get(location);
    return data ? heldSource(data, location) : elsewhere(location);
  });
}

/** A data file whose name transformers.js does not know of is fetched as it would fetch it. */
const beside =
  (place: WebPlace, subfolder: string) =>
  async (location: string): Promise<HeldSource | undefined> => {
    const blob = await webFile(place, `${subfolder}/${location}`);
    return blob && heldSource(blob, location);
  };
