/**
 * What an editor shows of a parameter is what its schema says: the comment on each key of `…Parameters` is the schema's description
 * and default, as `attune interventions` prints them. Written twice, so that hovering works; held here, so that it is one text.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import * as interventions from './index.ts';
import { type Parameter, parametersOf } from './parameters.ts';

const here = dirname(fileURLToPath(import.meta.url));
const sources = readdirSync(here)
  .filter((name) => name.endsWith('.ts') && !name.includes('.test'))
  .map((name) => readFileSync(join(here, name), 'utf8'));

/** '{"alpha":5}' as one writes it in TypeScript. */
const written = (value: unknown) =>
  JSON.stringify(value)
    .replace(/\{"(\w+)":(\w+)\}/g, '{ $1: $2 }')
    .replaceAll(',', ', ')
    .replaceAll('"', "'");

function comment({ description, default: value }: Parameter): string {
  return value === undefined ? `${description}.` : `${description}. Default ${written(value)}.`;
}

/** The comments on the keys of an interface, each as one line. */
function commentsOf(name: string): Record<string, string> {
  const source = sources.find((text) => text.includes(`export interface ${name} {`));
  const body = source?.split(`export interface ${name} {`)[1]?.split('\n}')[0] ?? '';
  const keys = [...body.matchAll(/^ {2}(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n {2})?(\w+)\??: /gm)];
  return Object.fromEntries(
    keys.map(([, text = '', key]) => [key, text.replace(/\s*\n\s*\*?\s*/g, ' ').trim()]),
  );
}

const factories = Object.entries(interventions).flatMap(([name, one]) =>
  typeof one === 'function' && 'schema' in one ? [[name, one.schema as never] as const] : [],
);

test('all methods are looked at', () => expect(factories.length).toBeGreaterThan(15));

test.each(factories)('%s: its comments are its descriptions', (name, schema) => {
  const parameters = `${name.charAt(0).toUpperCase()}${name.slice(1)}Parameters`;
  expect(commentsOf(parameters)).toEqual(
    Object.fromEntries(parametersOf(schema).map((one) => [one.name, comment(one)])),
  );
});
