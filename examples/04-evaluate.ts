/**
 * # Does it help?
 *
 * What `attune eval` does, from a program: a model on tasks, without and under interventions, on the same items. The report is the
 * command's: metrics with intervals, differences with paired tests.
 *
 *     npx tsx examples/04-evaluate.ts
 */
import { fileURLToPath } from 'node:url';
import { defineTask, evaluate } from '../eval/index.ts'; // 'attune/eval' in the package
import { zeroTuning } from '../index.ts';

const folder = (path: string) => fileURLToPath(new URL(`../testbed/${path}`, import.meta.url));

// A task of one's own is data, as docs/tasks.md explains it; built-in ones go by their names.
const moods = defineTask({
  name: 'moods',
  output: 'multiple_choice',
  source: { world: 'sentiment', items: 200 },
  fields: { prompt: 'string', choices: 'list', gold: 'integer' },
  prompt: '{{ prompt }}',
  delimiter: '',
  choices: '{{ choices | tojson }}',
  target: '{{ gold }}',
  metrics: ['acc'],
});

const { report, costs, pass } = await evaluate({
  model: folder('models/worlds-lm'),
  tasks: ['worlds-choice', moods],
  interventions: [zeroTuning({ gamma: 0.7 }), { intervention: 'zerotuning', gamma: 2 }],
  limit: 40,
  gates: ['acc>=0.2'],
});

const percent = (x: number) => (100 * x).toFixed(1);
for (const [i, { task, intervention, n, metrics, delta }] of report.runs.entries()) {
  const { value } = metrics.acc!;
  const change = delta.acc ? `, ${percent(delta.acc.value)} points (p ${delta.acc.p?.toFixed(3)})` : '';
  console.log(
    `${task}, ${intervention}: ${percent(value)} % of ${n}${change}; ${costs[i]!.ms.toFixed(0)} ms`,
  );
}
console.log(`gates hold: ${pass}`);
