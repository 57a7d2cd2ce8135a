// Package check: every entry of the exports map and the bin exist in the build and can be imported.
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
let problems = 0;
for (const [name, entry] of Object.entries(exports)) {
  const files = typeof entry === 'string' ? [entry] : Object.values(entry);
  for (const file of files) {
    if (existsSync(file)) continue;
    console.error(`${name}: ${file} is missing`);
    problems++;
  }
  if (typeof entry === 'string') continue;
  const module = await import(pathToFileURL(entry.default).href);
  if (Object.keys(module).length === 0) {
    console.error(`${name}: exports nothing`);
    problems++;
  }
}
for (const file of Object.values(bin)) {
  if (!existsSync(file)) {
    console.error(`bin: ${file} is missing`);
    problems++;
  }
}
console.log(
  problems === 0 ? `package exports: ${Object.keys(exports).length} entries resolve` : `${problems} problems`,
);
process.exit(problems === 0 ? 0 : 1);
