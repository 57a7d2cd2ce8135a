// usage: node own.mjs <model> <report.json>: the evaluation that `attune eval` wrote as <report.json>, from a program.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { zeroTuning } from 'attune';
import { defineTask, evaluate } from 'attune/eval';

const [model, written] = process.argv.slice(2);
const tasks = defineTask(JSON.parse(readFileSync('moods.task.json', 'utf8')));
const { report } = await evaluate({ model, tasks, interventions: [zeroTuning({ gamma: 2 })] });
assert.deepEqual(JSON.parse(JSON.stringify(report)), JSON.parse(readFileSync(written, 'utf8')));
