// The public API as text, one report for each entry of package.json's exports: docs/api/<entry>.api.md, from dist/*.d.ts.
// usage: node .ci/api-report.mjs [--write]   without --write it fails where a report differs from the committed one, or where
// something public has no documentation. Needs a build (npm run build).
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const write = process.argv.includes('--write');
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const folder = join(root, 'docs/api');
const made = mkdtempSync(join(tmpdir(), 'attune-api-'));

const compilerOptions = {
  target: 'es2023',
  module: 'nodenext',
  moduleResolution: 'nodenext',
  strict: true,
  skipLibCheck: true,
  types: ['node'],
  lib: ['es2023', 'dom', 'esnext.disposable'],
};
const silent = { default: { logLevel: 'none' } };

const entries = Object.entries(exports)
  .filter(([, target]) => target.types)
  .map(([name, { types }]) => ({
    name: name === '.' ? 'attune' : name.slice(2).replaceAll('/', '-'),
    types: join(root, types),
  }));

const configOf = ({ name, types }) =>
  ExtractorConfig.prepare({
    configObjectFullPath: join(root, 'api-extractor.json'),
    packageJsonFullPath: join(root, 'package.json'),
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: types,
      newlineKind: 'lf',
      compiler: { overrideTsconfig: { compilerOptions, files: entries.map((one) => one.types) } },
      apiReport: {
        enabled: true,
        reportFolder: made,
        reportTempFolder: join(made, 'temp'),
        reportFileName: `${name}.api.md`,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        extractorMessageReporting: {
          ...silent,
          'ae-undocumented': { logLevel: 'warning', addToApiReportFile: true },
        },
        tsdocMessageReporting: silent,
        compilerMessageReporting: silent,
      },
    },
  });

/** Warnings go into the report; what it is called here is told below. */
const quiet = (message) => {
  message.handled = message.category === 'console';
};

/** The report without what says nothing of the API: places in dist, which move with every comment. */
const withoutPlaces = (report) =>
  report.replace(/\n\/\/ Warnings were encountered[\s\S]*?(?=\n```|\n\/\/ \(No)/, '');

const failures = [];
let compilerState;
for (const entry of entries) {
  const config = configOf(entry);
  compilerState ??= CompilerState.create(config, {
    additionalEntryPoints: entries.map(({ types }) => types),
  });
  Extractor.invoke(config, { localBuild: true, compilerState, messageCallback: quiet });
  const file = `${entry.name}.api.md`;
  const whole = readFileSync(join(made, file), 'utf8');
  const report = withoutPlaces(whole);
  const undocumented = [...whole.matchAll(/^\/\/ (.*) - \(ae-undocumented\) (.*)$/gm)];
  const committed = join(folder, file);
  if (write) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(committed, report);
  } else if (!existsSync(committed) || readFileSync(committed, 'utf8') !== report) {
    failures.push(
      `docs/api/${file} is not what the API is. See what changed with: npm run api-report, then git diff docs/api`,
    );
  }
  failures.push(...undocumented.map(([, at, what]) => `${entry.name}: ${what} (${at})`));
  console.log(`${entry.name}: ${undocumented.length} undocumented`);
}
rmSync(made, { recursive: true });
for (const failure of failures) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
