// A Hub on this machine: /<owner>/<name>/resolve/<revision>/<file> from folders. Ids not in `models` are 404, as on the Hub.
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';

/**
 * @param models Hub id → folder
 * @param renamed path on the Hub → path in the folder, for exports that keep their files under other names
 * @returns its address, the requests it got, and how to end it
 */
export async function startHub(models, renamed = {}) {
  const requests = [];
  const server = createServer((request, response) => {
    const [, id, file] = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(request.url.split('?')[0]) ?? [];
    requests.push({ method: request.method, id, file, agent: request.headers['user-agent'] });
    const folder = models[id];
    const path = folder && join(folder, normalize(`/${renamed[file] ?? file}`));
    const size = path && statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) {
      response.writeHead(404);
      return response.end('Entry not found');
    }
    response.writeHead(200, { 'content-length': size, etag: `"${size}"` });
    if (request.method === 'HEAD') return response.end();
    createReadStream(path).pipe(response);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    address: `http://127.0.0.1:${server.address().port}/`,
    requests,
    close: () => new Promise((done) => server.close(done)),
  };
}
