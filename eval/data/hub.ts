/**
 * Data sets of the Hugging Face Hub, through the parquet files that the Hub keeps of every one of them:
 *
 *   GET /api/datasets/{id}/revision/refs%2Fconvert%2Fparquet    {sha}, the version of these files
 *   GET /api/datasets/{id}/parquet                              {config: {split: [url, …]}}
 *   GET /api/datasets/{id}/parquet/{config}/{split}/{n}.parquet the n-th of them
 *
 * Files are kept under their version and never asked for again; of what they hold nothing is sent anywhere.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { AttuneError, nearest } from '../../errors.ts';
import { othersSchema } from './others.ts';

export const hubSourceSchema = z.strictObject({
  hub: z
    .string()
    .regex(/^([\w.-]+\/)?[\w.-]+$/, 'owner/name')
    .describe('a data set of the Hugging Face Hub'),
  config: z.string().min(1).optional().describe('its subset; default: the only one, or "default"'),
  revision: z
    .string()
    .regex(/^[0-9a-f]{40}$/, 'a commit')
    .optional()
    .describe('commit of refs/convert/parquet that it has to be; default: the newest'),
  others: othersSchema.optional().describe('other records of the source beside each record'),
});

export type HubSource = z.output<typeof hubSourceSchema>;

/** Where the Hub is, who asks, and where files are kept. */
export interface HubOptions {
  /** HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, ATTUNE_DATASETS, XDG_CACHE_HOME; default: this process's. */
  env?: Readonly<Record<string, string | undefined>>;
}

export interface HubFiles {
  /** Folder of this version. */
  root: string;
  /** Below it. */
  files: string[];
  /** Commit of refs/convert/parquet. */
  revision: string;
}

const splitsSchema = z.record(z.string(), z.record(z.string(), z.array(z.string())));

/**
 * The files of one split, fetched where they are not there yet.
 * @throws AttuneError HUB_UNREACHABLE, HUB_REFUSED, HUB_ANSWER, HUB_SPLIT, HUB_REVISION
 */
export async function hubFiles(
  source: HubSource,
  split: string,
  { env = process.env }: HubOptions = {},
): Promise<HubFiles> {
  const hub = new Hub(source.hub, env);
  const revision = await hub.revision(source.revision);
  const root = join(hub.folder, revision);
  const { config, count } = chosen(source, split, readSplits(root));
  const files = Array.from({ length: count }, (_, n) => `${config}/${split}/${n}.parquet`);
  for (const file of files) {
    if (!existsSync(join(root, file))) await hub.download(file, join(root, file));
  }
  return { root, files, revision };
}

type Splits = z.output<typeof splitsSchema>;

const readSplits = (root: string): Splits => JSON.parse(readFileSync(join(root, 'splits.json'), 'utf8'));

function chosen(
  { hub, config }: HubSource,
  split: string,
  splits: Splits,
): { config: string; count: number } {
  const configs = Object.keys(splits);
  const name = config ?? (configs.length === 1 ? configs[0]! : 'default');
  const count = splits[name]?.[split]?.length ?? 0;
  if (count > 0) return { config: name, count };
  const known = splits[name];
  const [at, found, all] = known
    ? [`hub:${hub}, config ${name}`, `the split "${split}"`, Object.keys(known)]
    : [`hub:${hub}`, `the config "${name}"`, configs];
  throw new AttuneError('HUB_SPLIT', {
    at,
    found,
    expected: all.join(', ').slice(0, 300),
    hint: `Set "${known ? 'split' : 'config'}"; nearest: ${nearest(known ? split : name, all, 1)}`,
  });
}

class Hub {
  /** Of all versions. */
  readonly folder: string;
  readonly #api: string;
  readonly #at: string;
  readonly #offline: boolean;
  readonly #headers: Record<string, string>;

  constructor(id: string, env: NonNullable<HubOptions['env']>) {
    const cache =
      env.ATTUNE_DATASETS ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'attune/datasets');
    this.folder = join(cache, id);
    this.#api = `${(env.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/$/, '')}/api/datasets/${id}`;
    this.#at = `hub:${id}`;
    this.#offline = /^(1|true|yes|on)$/i.test(env.HF_HUB_OFFLINE ?? '');
    this.#headers = env.HF_TOKEN ? { authorization: `Bearer ${env.HF_TOKEN}` } : {};
  }

  /** A version whose list of files is in its folder. */
  async revision(wanted: string | undefined): Promise<string> {
    const listed = (revision: string) => existsSync(join(this.folder, revision, 'splits.json'));
    if (wanted !== undefined && listed(wanted)) return wanted;
    const newest = join(this.folder, 'newest');
    if (this.#offline && wanted === undefined && existsSync(newest)) return readFileSync(newest, 'utf8');
    const { sha } = await this.#json('/revision/refs%2Fconvert%2Fparquet', z.object({ sha: z.string() }));
    if (wanted !== undefined && sha !== wanted) {
      throw new AttuneError('HUB_REVISION', {
        at: this.#at,
        found: `${sha} on the Hub`,
        expected: wanted,
        hint: 'Take "revision" out of the source for the newest, or copy the folder of the old one from where it was used',
      });
    }
    if (!listed(sha)) {
      const splits = await this.#json('/parquet', splitsSchema);
      keep(join(this.folder, sha, 'splits.json'), JSON.stringify(splits));
    }
    keep(newest, sha);
    return sha;
  }

  async download(file: string, path: string): Promise<void> {
    const bytes = await this.#get(`/parquet/${file.split('/').map(encodeURIComponent).join('/')}`);
    // A parquet file begins and ends with its name: what was cut short is not kept.
    const ends = [bytes.subarray(0, 4), bytes.subarray(-4)].map((four) => four.toString('latin1'));
    if (ends.some((end) => end !== 'PAR1'))
      throw this.#strange(`${bytes.length} bytes for ${file}`, 'a parquet file');
    keep(path, bytes);
  }

  async #json<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    const text = (await this.#get(path)).toString('utf8');
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      throw this.#strange(`"${text.slice(0, 80)}" from ${path}`, 'the JSON that the Hub documents');
    }
  }

  async #get(path: string): Promise<Buffer> {
    if (this.#offline) throw this.#unreachable('HF_HUB_OFFLINE is set, and the data set is not in the cache');
    let response: Response;
    let bytes: Buffer;
    try {
      // A redirect to another host is followed without the token.
      response = await fetch(this.#api + path, { headers: this.#headers });
      bytes = Buffer.from(await response.arrayBuffer());
    } catch (cause) {
      const { message, cause: deeper } = cause as Error & { cause?: Error };
      throw this.#unreachable(deeper?.message || message, cause);
    }
    if (response.ok) return bytes;
    const denied = response.status === 401 || response.status === 403;
    throw new AttuneError('HUB_REFUSED', {
      at: this.#at,
      found: `${response.status} ${response.statusText} from ${this.#api}${path}`.trim(),
      hint: denied
        ? 'Check the name; a private or gated set needs HF_TOKEN, and its terms accepted on its page'
        : response.status === 404
          ? 'Check the name; a set that the Hub could not convert has no parquet files: download its own and use "file"'
          : 'Try again later, or download the files and use "file"',
    });
  }

  #unreachable(found: string, cause?: unknown): AttuneError {
    const kept = existsSync(join(this.folder, 'newest'));
    return new AttuneError('HUB_UNREACHABLE', {
      at: this.#at,
      found,
      expected: `an answer from ${new URL(this.#api).origin}`,
      hint: kept
        ? 'HF_HUB_OFFLINE=1 takes what was fetched before'
        : `Run once with a network (HF_ENDPOINT names a mirror), copy ${this.folder} from where it was run, or give the file with --data`,
      cause,
    });
  }

  readonly #strange = (found: string, expected: string): AttuneError =>
    new AttuneError('HUB_ANSWER', {
      at: this.#at,
      found,
      expected,
      hint: 'HF_ENDPOINT may name something that is no Hub',
    });
}

/** Whole or not at all. */
function keep(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.partial`, content);
  renameSync(`${path}.partial`, path);
}
