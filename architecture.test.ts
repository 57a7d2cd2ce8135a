/**
 * The house is one stair: a file imports from its own room and from those below, no import goes round in a circle, and
 * what ships imports nothing that does not ship. docs/architecture.md says what lies where.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

/** Rooms from the bottom up. */
const STAIR = [
  'errors.ts',
  'onnx',
  'sites',
  'testbed',
  'kernels',
  'hooks',
  'interventions',
  'calibration',
  'eval',
  'index.ts',
  'bench',
  'examples',
] as const;

/** Not in the package (tsconfig.build.json). */
const DOES_NOT_SHIP: readonly string[] = ['testbed', 'bench', 'examples', 'eval/testing'];

const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+\.ts)'/g;

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = normalize(join(folder, entry.name));
    if (entry.isDirectory()) return sources(path);
    return /\.ts$/.test(path) && !/\.(test|test-support)\.ts$/.test(path) ? [path] : [];
  });
}

const files = STAIR.flatMap((room) => (room.endsWith('.ts') ? [room] : sources(room)));
const imports = new Map(files.map((file) => [file, importsOf(file)] as const));

function importsOf(file: string): string[] {
  const found = readFileSync(file, 'utf8').matchAll(IMPORT);
  return [...found].map(([, path]) => normalize(join(dirname(file), path!)));
}

const floor = (file: string): number => STAIR.indexOf((file.split('/')[0] ?? file) as (typeof STAIR)[number]);
const ships = (file: string): boolean => !DOES_NOT_SHIP.some((room) => file.startsWith(`${room}/`));

/** [importer, imported] */
const arrows = [...imports].flatMap(([file, targets]) => targets.map((target) => [file, target] as const));

/** Groups of files that import each other, directly or round about (Tarjan's strongly connected components). */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const path: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    lowest.set(file, order.get(file)!);
    path.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!order.has(target)) visit(target);
      else if (!path.includes(target)) continue;
      lowest.set(file, Math.min(lowest.get(file)!, lowest.get(target)!));
    }
    if (lowest.get(file) !== order.get(file)) return;
    const circle = path.splice(path.indexOf(file));
    if (circle.length > 1) found.push(circle);
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}

describe('the stair', () => {
  test('every room has files, and imports are found in them', () => {
    for (const room of STAIR)
      expect(files.some((file) => file === room || file.startsWith(`${room}/`))).toBe(true);
    expect(arrows.length).toBeGreaterThan(files.length);
    for (const [file, target] of arrows) expect(imports.has(target), `${file} imports ${target}`).toBe(true);
  });

  test('no arrow goes up', () => {
    expect(arrows.filter(([file, target]) => floor(target) > floor(file))).toEqual([]);
  });

  test('no import goes round in a circle', () => {
    expect(circles(imports)).toEqual([]);
    expect(
      circles(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
    ).toEqual([['b', 'c']]);
  });

  test('what bundles for browsers imports no module of Node', () => {
    const ENTRIES = [
      'index.ts',
      ...['onnx', 'sites', 'kernels', 'hooks', 'interventions', 'calibration'].map(
        (room) => `${room}/index.ts`,
      ),
    ];
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const target of imports.get(file) ?? []) visit(target);
    };
    for (const entry of [...ENTRIES, 'interventions/kit.ts']) visit(entry);
    expect(reached.size).toBeGreaterThan(150);
    const node = /^import (?!type )[^;]*from 'node:/m;
    expect([...reached].filter((file) => node.test(readFileSync(file, 'utf8')))).toEqual([]);
  });

  test('what ships imports nothing that does not', () => {
    expect(arrows.filter(([file, target]) => ships(file) && !ships(target))).toEqual([]);
  });
});
