// What an editor shows of the built package: documentation and a short signature for functions, options and parameters; and the
// examples in the documentation, type-checked as they are written. Needs a build.
// usage: npx tsx .ci/editor-check.mts
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rootExamples } from '../examples/docstring-examples.test-support.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
// TypeScript 7 has no language service in JavaScript; API Extractor brings a TypeScript that has.
const require = createRequire(createRequire(import.meta.url).resolve('@microsoft/api-extractor'));
const ts: typeof import('../node_modules/@microsoft/api-extractor/node_modules/typescript/lib/typescript.d.ts') =
  require('typescript');

/** Code with ‸ before what is pointed at, and words that its documentation has. */
const HOVERS: readonly (readonly [code: string, ...words: string[]])[] = [
  ["await ‸attune(AutoModelForCausalLM, 'x')", 'sessions'],
  ["await attune(AutoModelForCausalLM, 'x', { ‸interventions: [] })", 'force'],
  ["await attune(AutoModelForCausalLM, 'x', { ‸prepare: [] })", 'compile'],
  ["await attune(AutoModelForCausalLM, 'x', { ‸dtype: 'q4' })", 'Number type'],
  ["await attune(AutoModelForCausalLM, 'x', { ‸profile: 'p.json' })", 'calibrate'],
  ['‸zeroTuning({ gamma: 1.4 })', 'γ', 'P_0', 'arXiv 2505.11739'],
  ['zeroTuning({ ‸gamma: 1.4 })', 'γ > 0', 'γ[layer][head]'],
  ["‸act({ heads: 'all' })", 'β', 'arXiv 2406.15765'],
  ["act({ ‸heads: 'all' })", 'query heads'],
  ["act({ heads: 'all', ‸beta: 1 })", 'Default 0.4'],
  ["act({ heads: 'all', ‸threshold: { alpha: 5 } })", 'sink', 'Default { alpha: 5 }'],
  ['‸pine({ documents: [] })', 'order', 'arXiv 2407.01100'],
  ['pine({ ‸documents: [] })', '[start, end)'],
  ['vhr({ ‸alpha: 2 })', 'Default 2'],
  ['‸headScale({ scale: 1 })', 'z_h ← s_h z_h'],
  ['model.‸use([])', 'calls from now on'],
  ['model.‸with([])', 'view'],
  ['await model.‸using([], async () => 1)', 'view'],
  ['await model.‸generate({ interventions: [] })', 'this request'],
  ["await model.‸runWithCache({}, 'x')", 'hook points'],
  ['await model.‸runWithHooks([], async () => 1)', 'functions at hook points'],
  ['model.attune.‸hookNames', 'can be read'],
  ["‸segmentPrompt(tokenizer, { prefix: '', documents: [], suffix: '' })", 'documents'],
  ['‸defineIntervention', 'kind of intervention'],
  ["await ‸evaluate({ model: 'x', tasks: 'copa' })", 'baseline'],
  ["await evaluate({ model: 'x', tasks: 'copa', ‸limit: 10 })", 'sample'],
];
const LONGEST_SIGNATURE = 400;

const names = `${Object.keys(await import('../index.ts')).join(', ')}`;
const HEAD = `import { ${names} } from 'attune';
import { evaluate } from 'attune/eval';
import { headKnob, headTable, headValues, scaleOutputs } from 'attune/interventions/kit';
import { AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer } from '@huggingface/transformers';
import { z } from 'zod';
declare const folder: string, passages: [string, string], question: string;
declare const messages: { role: string; content: string }[];
const tokenizer = await AutoTokenizer.from_pretrained(folder);
const model = await attune(AutoModelForCausalLM, folder);
const vlm = await attune(AutoModelForImageTextToText, folder);
const inputs = tokenizer('text');
const imageInputs = inputs;
`;
let text = HEAD;
const places = HOVERS.map(([code, ...words]) => {
  const at = text.length + code.indexOf('‸') + 2;
  text += `{ ${code.replace('‸', '')}; }\n`;
  return { code, words, at };
});
const examples = rootExamples(names.split(', '));
for (const { code } of examples) text += `export async function example${text.length}() {\n${code}\n}\n`;

const file = join(root, 'editor-check.ts');
const options = {
  strict: true,
  exactOptionalPropertyTypes: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'],
  skipLibCheck: true,
  noEmit: true,
};
const { sys } = ts;
const service = ts.createLanguageService({
  getScriptFileNames: () => [file],
  getScriptVersion: () => '1',
  getScriptSnapshot: (name) => {
    const content = name === file ? text : sys.readFile(name);
    return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content);
  },
  getCurrentDirectory: () => root,
  getCompilationSettings: () => options,
  getDefaultLibFileName: (given) => ts.getDefaultLibFilePath(given),
  fileExists: (name) => name === file || sys.fileExists(name),
  readFile: (name) => (name === file ? text : sys.readFile(name)),
  directoryExists: sys.directoryExists,
  getDirectories: sys.getDirectories,
});

const failures: string[] = [];
for (const { code, words, at } of places) {
  const shown = service.getQuickInfoAtPosition(file, at);
  const documentation = ts.displayPartsToString(shown?.documentation);
  const signature = ts.displayPartsToString(shown?.displayParts);
  const missing = words.filter((word) => !documentation.includes(word));
  if (missing.length > 0)
    failures.push(`${code}: nothing of ${missing.join(', ')} in "${documentation.slice(0, 200)}"`);
  if (signature.length > LONGEST_SIGNATURE) failures.push(`${code}: a signature of ${signature.length}`);
}
for (const { start = 0, messageText } of service.getSemanticDiagnostics(file)) {
  const line = text.slice(text.lastIndexOf('\n', start) + 1, text.indexOf('\n', start));
  failures.push(`${ts.flattenDiagnosticMessageText(messageText, ' ')} at: ${line}`);
}
console.log(`${places.length} places pointed at, ${examples.length} examples type-checked`);
for (const failure of failures) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
