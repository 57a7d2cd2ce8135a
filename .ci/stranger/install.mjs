// npm install into a folder. What the registry cannot give just now is no fault of the package: it ends with exit code 75 and says
// why, and whoever called prints that as skipped. Every other failure is one.
// usage: node .ci/stranger/install.mjs <folder> <package>…
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const UNREACHABLE = 75;
const NETWORK =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED|E50\d)\b/;

/** @returns why the registry did not answer; undefined when all is installed */
export function install(folder, packages) {
  mkdirSync(folder, { recursive: true });
  const given = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...packages];
  const { status, stderr } = spawnSync('npm', given, { cwd: folder, encoding: 'utf8' });
  if (status === 0) return undefined;
  const [code] = NETWORK.exec(stderr) ?? [];
  if (code !== undefined) return `the npm registry does not answer (${code})`;
  throw new Error(`npm install ${packages.join(' ')}\n${stderr}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, ...packages] = process.argv.slice(2);
  const reason = install(resolve(folder), packages);
  if (reason !== undefined) {
    console.log(`skipped: ${packages.join(' ')}: ${reason}`);
    process.exit(UNREACHABLE);
  }
}
