/** A metric is one file and one line, an output type likewise; nothing else switches over them. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { outputSchemas } from '../outputs/index.ts';
import { metrics, metricsOf } from './index.ts';

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const sources = (path: string) =>
  readdirSync(folder(path), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /(?<!\.test)\.ts$/.test(name),
  );

test('each metric is a file of its name', () => {
  const own = sources('.').filter((name) => !['index.ts', 'metric.ts', 'outcomes.ts'].includes(name));
  expect(own.map((name) => name.replace('.ts', '').replaceAll('-', '_')).sort()).toEqual(
    Object.keys(metrics).sort(),
  );
});

test('every metric is one of some output type', () => {
  const taken = new Set(
    outputSchemas.flatMap(({ shape }) => shape.metrics.def.element.options as readonly string[]),
  );
  expect(Object.keys(metrics).filter((name) => !taken.has(name))).toEqual([]);
  expect(metricsOf('pair')).toEqual(['pair_acc', 'pair_acc_strict', 'consistency', 'first_rate']);
});

test('no file but an output type’s own asks for its name', () => {
  const names = outputSchemas.map(({ shape }) => shape.output.value);
  const asking = sources('..').filter((file) => {
    if (/^(outputs|tasks\/builtin|testing|verify|data)\//.test(file)) return false;
    const text = readFileSync(folder(`../${file}`), 'utf8');
    return names.some((name) => new RegExp(`(===|!==|case) '${name}'`).test(text));
  });
  expect(asking).toEqual([]);
});
