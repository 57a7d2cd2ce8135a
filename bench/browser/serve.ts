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

/** @param folders by the first part of the path; '' for the rest */
export async function serve(folders: Readonly<Record<string, string>>, isolated: boolean): Promise<Site> {
  const isolation = isolated
    ? { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }
    : {};
  const server = createServer((request, response) => {
    const asked = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://site').pathname));
    const path = asked.endsWith('/') ? `${asked}index.html` : asked;
    const [, first = '', ...rest] = path.split('/');
    const folder = rest.length > 0 ? folders[first] : undefined;
    const file = folder === undefined ? join(folders['']!, path) : join(folder, ...rest);
    const found = existsSync(file) && statSync(file).isFile();
    if (!found) {
      response.writeHead(404, isolation).end();
      return;
    }
    const size = statSync(file).size;
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to), size - 1) : size - 1;
    response.writeHead(from === undefined ? 200 : 206, {
      ...isolation,
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Length': end - start + 1,
      'Accept-Ranges': 'bytes',
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
