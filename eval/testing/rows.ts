/** Rows written by hand, for tests of what is made of rows. */
import type { Row } from '../runner/row.ts';
import type { TaskRows } from '../runner/run.ts';
import { baseline, settingOf } from '../runner/setting.ts';
import { noCost } from '../scoring/language-model.ts';
import { defineTask, type Task } from '../tasks/definition.ts';
import { toyIntervention } from './toy-model.ts';

const task = (metrics: string[], output: string): Task =>
  defineTask({
    name: 't',
    output,
    source: { file: 'x.jsonl' },
    fields: {},
    target: '0',
    metrics,
    ...(output === 'multiple_choice' && { prompt: '', choices: ['a', 'b'] }),
  });

const settings = [
  baseline,
  ...['one', 'two'].map((name) => settingOf(name, [toyIntervention({ intervention: name })])),
];

/** @param terms item by item, setting by setting: the baseline, one, two. */
export function rowsOf(
  terms: readonly Row['terms'][][],
  changes: Partial<Row> = {},
  metrics = ['acc'],
  output = 'multiple_choice',
): TaskRows {
  return {
    model: 'm',
    task: { task: task(metrics, output), items: [], order: [], bad: [], total: terms.length, split: 'test' },
    settings: settings.slice(0, terms[0]!.length),
    rows: terms.map((item, i) =>
      item.map((own, j) => ({
        key: `${i}/${j}`,
        model: 'm',
        task: 't',
        setting: settings[j]!.label,
        specHash: settings[j]!.specHash,
        item: `${i}`,
        at: `x.jsonl:${i + 1}`,
        content: `${i}`,
        logLikelihoods: [],
        terms: own,
        truncated: false,
        unparsable: false,
        cost: { ...noCost, tokens: 10, unsharedTokens: 30, calls: 2, ms: i, residentBytes: 1e6 },
        ...changes,
      })),
    ),
  };
}

export const acc = (right: number): Row['terms'] => ({ acc: [right, 1] });

/** 40 items: the baseline right on the first 20; `one` on 29 of 40, `two` on 22. */
export const forty = Array.from({ length: 40 }, (_, i) => [
  acc(i < 20 ? 1 : 0),
  acc(i < 19 || i >= 30 ? 1 : 0),
  acc(i < 22 ? 1 : 0),
]);
