/** The demo: what it runs exists and is balanced, and what it shows is what was measured. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { readProfile } from '../../calibration/index.ts';
import { loadEvalModel, readIntervention } from '../models/load.ts';
import { builtinTasks } from '../tasks/builtin/index.ts';
import { loadItems } from '../tasks/items.ts';
import { demoCommand } from './demo.ts';
import { STAGES } from './demo-stages.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-demo-'));
afterAll(() => rmSync(root, { recursive: true }));

test('every method is one with valid parameters, every task is a task', async () => {
  for (const { methods, tasks } of STAGES) {
    for (const { intervention, profile } of methods) {
      if (profile === undefined) expect(readIntervention({ intervention }).hash).toMatch(/^\w{64}$/);
    }
    for (const { task, limit, shown } of tasks) {
      const found = builtinTasks.get(task)!;
      expect(found.metrics).toEqual(expect.arrayContaining([...shown]));
      // Every place of the answer as often as the others.
      const { items } = await loadItems(found, { root: '', limit });
      const counts = new Map<unknown, number>();
      for (const { position, ...item } of items) {
        const key = position ?? ('gold' in item ? item.gold : 0);
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      expect(new Set(counts.values()).size).toBe(1);
    }
  }
});

test('what a method is told of a model was read off that model, on other items', async () => {
  for (const { model, methods } of STAGES) {
    const loaded = await loadEvalModel(
      fileURLToPath(new URL(`../../testbed/models/${model}`, import.meta.url)),
    );
    for (const { intervention, profile: name } of methods) {
      if (name === undefined) continue;
      const path = new URL(`../../bench/results/profiles/${name}.profile.json`, import.meta.url);
      const profile = await readProfile(fileURLToPath(path));
      await loaded.checkProfile(profile);
      expect(profile.interventions.map((one) => one.intervention)).toEqual([intervention]);
      expect(profile.data?.map(({ split }) => split)).toEqual(['calibration']);
    }
    await loaded.dispose();
  }
});

test('the table shows the numbers of the report, and the page lies beside it', async () => {
  let stdout = '';
  const out = join(root, 'out');
  // The language model with one method a stage: commands.test.ts runs all of it.
  const stages = STAGES.slice(0, 2).map((stage) => ({ ...stage, methods: stage.methods.slice(0, 1) }));
  const world = {
    loadModel: loadEvalModel,
    readIntervention,
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: () => true },
  };
  const code = await demoCommand(['--limit', '5', '--workers', '1', '--out', out], world, stages);
  expect(code).toBe(0);
  const { runs, tasks, models } = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'));
  expect(models.map(({ name }: { name: string }) => basename(name))).toEqual(['worlds-lm']);
  const expected = stages.flatMap(({ tasks: own, methods }) =>
    own.flatMap(({ task }) =>
      ['baseline', ...methods.map(({ intervention }) => intervention)].map((name) => [task, name]),
    ),
  );
  expect(runs.map(({ task, intervention }: Record<string, string>) => [task, intervention])).toEqual(
    expected,
  );
  expect(tasks.every(({ items }: { items: number }) => items <= 5)).toBe(true);
  for (const { tasks: own, methods } of stages) {
    for (const { title } of [...own, ...methods]) expect(stdout).toContain(title);
  }
  const [first] = runs;
  expect(stdout).toMatch(new RegExp(`baseline +${(100 * first.metrics.acc.value).toFixed(1)} `));
  expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('attune demo');
});
