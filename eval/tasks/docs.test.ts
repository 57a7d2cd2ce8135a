/** docs/tasks.md is a test: its example runs, its lists are complete. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { metrics } from '../metrics/index.ts';
import { builtinTasks } from './builtin/index.ts';
import { defineTask, taskSchema } from './definition.ts';
import { findTask } from './find.ts';
import { itemMaker } from './item-maker.ts';
import { loadItems } from './items.ts';

const page = readFileSync(new URL('../../docs/tasks.md', import.meta.url), 'utf8');
const block = (language: string): string => {
  const found = page.match(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``))?.[1];
  if (found === undefined) throw new Error(`docs/tasks.md has no ${language} block`);
  return found;
};

test('the example of docs/tasks.md is ten entries or fewer and makes the prompts it says', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-docs-'));
  writeFileSync(join(folder, 'reviews.csv'), block('csv'));
  writeFileSync(join(folder, 'reviews.task.json'), block('json'));
  const { task, folder: root } = await findTask(join(folder, 'reviews.task.json'));
  const { items, total } = await loadItems(task, { root: root as string });
  rmSync(folder, { recursive: true });

  expect(Object.keys(JSON.parse(block('json'))).length).toBeLessThanOrEqual(10);
  expect(total).toBe(3);
  expect(items[0]).toEqual({
    id: 'reviews.csv:2',
    at: 'reviews.csv:2',
    cluster: 'ann',
    output: 'multiple_choice',
    gold: 1,
    options: ['no', 'yes'].map((text) => ({
      context: 'Review: Lovely, and quiet at night.\nWould the guest come back?',
      continuation: ` ${text}`,
      text,
    })),
  });
  expect(items.map((item) => 'gold' in item && item.gold)).toEqual([1, 0, 1]);
});

test('the example of a data set of the Hub makes an item of a record as the Hub has it', () => {
  const example = page.slice(page.indexOf('## Data sets of the Hub')).match(/```json\n([\s\S]*?)```/)![1]!;
  const fields = {
    question_stem: 'The sun is responsible for',
    choices: { text: ['puppies learning new tricks', 'plants sprouting'], label: ['A', 'B'] },
    answerKey: 'B',
  };
  const [item] = itemMaker(defineTask(JSON.parse(example)))({ fields, file: 'main/test/0.parquet', line: 1 });
  expect(item).toMatchObject({ gold: 1, options: [{}, { continuation: ' plants sprouting' }] });
});

test('docs/tasks.md names every built-in task and explains every entry', () => {
  const named = page.slice(page.indexOf('## Built-in tasks')).match(/`[a-z0-9-]+`/g);
  expect(named).toEqual(expect.arrayContaining([...builtinTasks.keys()].map((name) => `\`${name}\``)));
  const entries = taskSchema.options.flatMap((option) => Object.keys(option.shape));
  const explained = [...page.matchAll(/^\| `([A-Za-z]+)/gm)].map(([, name]) => name);
  for (const entry of entries.filter((name) => name !== 'description' && name !== 'targetIs')) {
    expect(explained).toContain(entry);
  }
});

test('docs/evaluation.md and docs/hallucination-metrics.md explain every metric, and no other', () => {
  const [evaluation, hallucination] = ['evaluation', 'hallucination-metrics'].map((name) =>
    readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8'),
  ) as [string, string];
  const table = evaluation.slice(evaluation.indexOf('## Metrics'), evaluation.indexOf('## How sure'));
  const rows = [...table.matchAll(/^\| (`[^|]+)/gm)].flatMap(([, cell]) => cell!.match(/\w+/g)!);
  const kinds = Object.keys(metrics);
  expect(rows.filter((name) => !kinds.includes(name))).toEqual([]);
  const explained = new Set([...rows, ...[...hallucination.matchAll(/`(\w+)`/g)].map(([, name]) => name)]);
  expect(kinds.filter((name) => !explained.has(name))).toEqual([]);
});
