/** Files that are nearly models, one for each seed: a fixture changed in one to three ways. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { below, MUTATIONS, oneOf, randomSource } from './mutations.ts';
import { encode, parse } from './wire-tree.ts';

const FIXTURES = join(import.meta.dirname, '..', '..', 'testbed', 'fixtures');
/** Those that most often leave a file that can be read come up three times as often. */
const READABLE = [
  'rewire near',
  'rewire',
  'operator',
  'attribute',
  'drop a node',
  'view',
  'function',
  'constant that is an input',
];
const NAMES = Object.keys(MUTATIONS).flatMap((name) =>
  READABLE.includes(name) ? [name, name, name] : [name],
);

export interface Mutant {
  readonly seed: number;
  /** Below testbed/fixtures. */
  readonly file: string;
  readonly mutations: readonly string[];
  readonly bytes: Uint8Array;
}

/** All graphs of the fixtures, below their folder. */
export const CORPUS: readonly string[] = readdirSync(FIXTURES, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.onnx'))
  .sort();

export function mutant(seed: number): Mutant {
  const random = randomSource(seed * 7919 + 13);
  const file = oneOf(random, CORPUS)!;
  const model = parse(readFileSync(join(FIXTURES, file)));
  const mutations = Array.from({ length: 1 + below(random, 3) }, () => oneOf(random, NAMES)!);
  for (const name of mutations) MUTATIONS[name]!(model, random);
  const whole = encode(model);
  const bytes = random() < 0.05 ? whole.slice(0, below(random, whole.length)) : whole;
  return { seed, file, mutations, bytes };
}
