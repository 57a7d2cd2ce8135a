/** The Hub as a server on this machine; what it serves are parquet files of ours. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { defineTask } from '../tasks/definition.ts';
import { loadItems } from '../tasks/items.ts';
import { hubFiles } from './hub.ts';

const parquet = (name: string) =>
  readFileSync(fileURLToPath(new URL(`fixtures/${name}.parquet`, import.meta.url)));
const [FIRST, SECOND] = ['a'.repeat(40), 'b'.repeat(40)];

let sha = FIRST;
let answer: ((path: string, response: ServerResponse) => boolean) | undefined;
const asked: { path: string; token: string | undefined }[] = [];

function serve({ url, headers }: IncomingMessage, response: ServerResponse): void {
  const path = url!.replace('/api/datasets/ann/quiz', '');
  asked.push({ path, token: headers.authorization });
  if (answer?.(path, response)) return;
  const files: Record<string, string | Buffer> = {
    '/revision/refs%2Fconvert%2Fparquet': JSON.stringify({ sha, other: 1 }),
    '/parquet': JSON.stringify({ default: { test: ['x', 'y'], train: ['z'] }, hard: { test: ['w'] } }),
    '/parquet/default/test/0.parquet': parquet('snappy'),
    '/parquet/default/test/1.parquet': parquet('gzip'),
  };
  const file = files[path];
  response.writeHead(file === undefined ? 404 : 200).end(file);
}

let server: Server;
let elsewhere: Server;
let env: Record<string, string>;
const urlOf = (one: Server) => `http://127.0.0.1:${(one.address() as AddressInfo).port}`;
const listen = (one: Server) => new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));

beforeAll(async () => {
  server = createServer(serve);
  elsewhere = createServer((request, response) => {
    asked.push({ path: 'elsewhere', token: request.headers.authorization });
    response.end(parquet('snappy'));
  });
  await Promise.all([listen(server), listen(elsewhere)]);
});
afterAll(() => {
  server.close();
  elsewhere.close();
});
beforeEach(() => {
  env = { HF_ENDPOINT: urlOf(server), ATTUNE_DATASETS: mkdtempSync(join(tmpdir(), 'attune-hub-')) };
  sha = FIRST;
  answer = undefined;
  asked.length = 0;
});
afterEach(() => rmSync(env.ATTUNE_DATASETS!, { recursive: true }));

const source = { hub: 'ann/quiz' };
const paths = () => asked.map(({ path }) => path);

test('files are fetched once for each version; a version that is named is not asked about', async () => {
  const { root, files, revision } = await hubFiles(source, 'test', { env });
  expect(revision).toBe(FIRST);
  expect(files).toEqual(['default/test/0.parquet', 'default/test/1.parquet']);
  expect(readFileSync(join(root, files[1]!))).toEqual(parquet('gzip'));
  expect(paths()).toHaveLength(4);

  asked.length = 0;
  expect(await hubFiles(source, 'test', { env })).toEqual({ root, files, revision });
  expect(paths()).toEqual(['/revision/refs%2Fconvert%2Fparquet']);

  asked.length = 0;
  await hubFiles({ ...source, revision: FIRST }, 'test', { env });
  expect(asked).toEqual([]);

  sha = SECOND;
  expect((await hubFiles(source, 'test', { env })).revision).toBe(SECOND);
  expect(paths()).toHaveLength(4);
  await expect(hubFiles({ ...source, revision: 'c'.repeat(40) }, 'test', { env })).rejects.toMatchObject({
    code: 'HUB_REVISION',
    expected: 'c'.repeat(40),
  });
});

test('the token goes to the Hub, and not to where the Hub sends on', async () => {
  answer = (path, response) => {
    if (!path.endsWith('.parquet')) return false;
    response.writeHead(302, { location: `${urlOf(elsewhere).replace('127.0.0.1', 'localhost')}/file` }).end();
    return true;
  };
  await hubFiles(source, 'test', { env: { ...env, HF_TOKEN: 'secret' } });
  expect(asked.filter(({ path }) => path !== 'elsewhere').map(({ token }) => token)).toEqual(
    Array(4).fill('Bearer secret'),
  );
  expect(asked.filter(({ path }) => path === 'elsewhere').map(({ token }) => token)).toEqual([
    undefined,
    undefined,
  ]);
});

test('without a network: what was fetched is taken when asked for, and else the error says what to do', async () => {
  const offline = { ...env, HF_HUB_OFFLINE: '1' };
  await expect(hubFiles(source, 'test', { env: offline })).rejects.toMatchObject({
    code: 'HUB_UNREACHABLE',
    hint: expect.stringMatching(/Run once with a network.*--data/),
  });
  const gone = { ...env, HF_ENDPOINT: 'http://127.0.0.1:9' };
  await expect(hubFiles(source, 'test', { env: gone })).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });

  const fetched = await hubFiles(source, 'test', { env });
  asked.length = 0;
  expect(await hubFiles(source, 'test', { env: offline })).toEqual(fetched);
  expect(asked).toEqual([]);
  await expect(hubFiles(source, 'test', { env: gone })).rejects.toMatchObject({
    code: 'HUB_UNREACHABLE',
    hint: expect.stringMatching(/HF_HUB_OFFLINE=1/),
  });
  // This split was never fetched.
  await expect(hubFiles(source, 'train', { env: offline })).rejects.toMatchObject({
    code: 'HUB_UNREACHABLE',
  });
});

test.each([
  [401, /HF_TOKEN/],
  [404, /Check the name/],
  [500, /later/],
])('the status %i', async (status, hint) => {
  answer = (_, response) => Boolean(response.writeHead(status).end('no'));
  await expect(hubFiles(source, 'test', { env })).rejects.toMatchObject({
    code: 'HUB_REFUSED',
    at: 'hub:ann/quiz',
    found: expect.stringContaining(`${status}`),
    hint: expect.stringMatching(hint),
  });
});

test('a config or split that there is not names those that there are', async () => {
  await expect(hubFiles(source, 'tset', { env })).rejects.toMatchObject({
    code: 'HUB_SPLIT',
    expected: 'test, train',
    hint: expect.stringMatching(/nearest: test/),
  });
  await expect(hubFiles({ ...source, config: 'easy' }, 'test', { env })).rejects.toMatchObject({
    code: 'HUB_SPLIT',
    found: 'the config "easy"',
    expected: 'default, hard',
  });
});

test('an answer that is no list, and a file that is cut short, are not kept', async () => {
  answer = (path, response) => path === '/parquet' && Boolean(response.end('<html>'));
  await expect(hubFiles(source, 'test', { env })).rejects.toMatchObject({ code: 'HUB_ANSWER' });
  answer = (path, response) =>
    path.endsWith('0.parquet') && Boolean(response.end(parquet('snappy').subarray(0, 100)));
  await expect(hubFiles(source, 'test', { env })).rejects.toMatchObject({ code: 'HUB_ANSWER' });
  expect(existsSync(join(env.ATTUNE_DATASETS!, 'ann/quiz', FIRST, 'default/test/0.parquet'))).toBe(false);
  answer = undefined;
  expect((await hubFiles(source, 'test', { env })).files).toHaveLength(2);
});

test('a task reads its records from there', async () => {
  const task = defineTask({
    name: 'quiz',
    output: 'loglikelihood',
    source: { hub: 'ann/quiz', config: 'default' },
    fields: { kind: 'string', right: 'text' },
    prompt: '{{ kind }}',
    target: '{{ right }}',
    metrics: ['acc'],
  });
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    const { items, bad, split } = await loadItems(task, { root: '/nowhere', skipBad: true });
    // Five rows a file, one of them without "right".
    expect([items.length, bad.length, split]).toEqual([8, 2, 'test']);
    expect(items[4]).toMatchObject({ at: 'default/test/1.parquet:1', context: 'x', continuation: ' true' });
    await expect(loadItems(task, { root: '', split: 'dev' })).rejects.toMatchObject({ code: 'HUB_SPLIT' });
  } finally {
    process.env = before;
  }
});
