/**
 * Builds the native runtime with cargo and puts it where attune looks for it: attune-<platform>-<arch>.node beside this file.
 *
 *     npm run build:native
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';

const folder = import.meta.dirname;
const LIBRARIES = {
  linux: 'libattune_runtime.so',
  darwin: 'libattune_runtime.dylib',
  win32: 'attune_runtime.dll',
};

const library = LIBRARIES[process.platform];
if (!library) fail(`There is no native runtime for ${process.platform}.`);
const cargo = spawnSync('cargo', ['build', '--release', '--locked', ...process.argv.slice(2)], {
  cwd: folder,
  stdio: 'inherit',
});
if (cargo.error) fail(`cargo could not be run (${cargo.error.message}); see https://rustup.rs.`);
if (cargo.status !== 0) process.exit(cargo.status ?? 1);

const built = join(process.env.CARGO_TARGET_DIR ?? join(folder, 'target'), 'release', library);
if (!existsSync(built)) fail(`cargo left no ${built}.`);
const addon = join(folder, `attune-${process.platform}-${process.arch}.node`);
// Renamed into place: a process that has the old one loaded keeps it.
copyFileSync(built, `${addon}.new`);
renameSync(`${addon}.new`, addon);
console.log(addon);

function fail(message) {
  console.error(message);
  process.exit(1);
}
