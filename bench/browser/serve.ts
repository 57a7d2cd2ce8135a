/** A small site: folders by the beginning of an address, with ranges, and isolated from other sites where threads need it. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

export interface Site extends AsyncDisposable {
  readonly origin: string;
}

export interface SiteOptions {
  /** Apart from other sites, as threads in wasm need it. */
  readonly isolated?: boolean;
  /** Whether pages of other sites may read. */
  readonly open?: boolean;
  /** Whether a part of a file may be asked for. */
  readonly ranges?: boolean;
}

/** @param folders by the first part of the path; '' for the rest */
export async function serve(
  folders: Readonly<Record<string, string>>,
  { isolated = false, open = false, ranges = true }: SiteOptions = {},
): Promise<Site> {
  const headers = {
    ...(isolated && {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    }),
    ...(open && { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*' }),
  };
  const server = createServer((request, response) => {
    const asked = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://site').pathname));
    const path = asked.endsWith('/') ? `${asked}index.html` : asked;
    const [, first = '', ...rest] = path.split('/');
    const folder = rest.length > 0 ? folders[first] : undefined;
    const file = folder === undefined ? join(folders['']!, path) : join(folder, ...rest);
    const found = existsSync(file) && statSync(file).isFile();
    // A browser asks whether it may send a Range before it does.
    if (!found || request.method === 'OPTIONS') {
      response.writeHead(found ? 204 : 404, headers).end();
      return;
    }
    const size = statSync(file).size;
    const [, from, to] = (ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')) || [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to), size - 1) : size - 1;
    response.writeHead(from === undefined ? 200 : 206, {
      ...headers,
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Length': end - start + 1,
      ...(ranges && { 'Accept-Ranges': 'bytes' }),
      ...(from !== undefined && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
    });
    createReadStream(file, { start, end }).pipe(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
