/** The examples in the documentation of what the root exports, as they are written. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface DocstringExample {
  /** The export, or the interface whose member it is of. */
  readonly name: string;
  readonly code: string;
}

const repository = fileURLToPath(new URL('..', import.meta.url));
const sources = ['.', 'interventions', 'hooks/model', 'calibration']
  .flatMap((place) => readdirSync(join(repository, place)).map((name) => join(repository, place, name)))
  .filter((path) => /\.ts$/.test(path) && !/\.test/.test(path))
  .map((path) => readFileSync(path, 'utf8'));

const COMMENT = String.raw`/\*\*(?:(?!\*/)[\s\S])*\*/`;

function examplesIn(comment: string): string[] {
  const text = comment.replace(/\s*\*\/$/, '').replace(/^\s*\/?\*+ ?/gm, '');
  const found = text.matchAll(/@example\s+(?:```ts\n([\s\S]*?)```|(.*))/g);
  return [...found].map(([, block, line]) => block ?? line!);
}

/** Examples of a function, class or constant by its name. */
export function examplesOf(name: string): DocstringExample[] {
  const kinds = '(?:async )?(?:const|function|class)';
  const declared = new RegExp(`(${COMMENT})\\s*export ${kinds} ${name}\\b`);
  const [, comment] = sources.map((text) => declared.exec(text)).find((match) => match) ?? [];
  return comment === undefined ? [] : examplesIn(comment).map((code) => ({ name, code }));
}

/** Examples of an interface and of its members. */
export function examplesInside(name: string): DocstringExample[] {
  const declared = new RegExp(`(?:${COMMENT}\\s*)?export interface ${name} \\{\\n[\\s\\S]*?\\n\\}`);
  const [text = ''] = sources.map((source) => declared.exec(source)).find((match) => match) ?? [];
  const comments = [...text.matchAll(new RegExp(COMMENT, 'g'))];
  return comments.flatMap(([comment]) => examplesIn(comment).map((code) => ({ name, code })));
}

/** Examples of all exports of the root, `attune` and the methods of a model included. */
export function rootExamples(names: readonly string[]): DocstringExample[] {
  return [...names.flatMap(examplesOf), ...examplesInside('Attune'), ...examplesInside('AttunedModel')];
}
