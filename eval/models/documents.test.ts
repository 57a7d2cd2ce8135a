/** Documents of items reach the interventions that act on them, as tokens of the prompt that is run. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { RequestState } from '../../hooks/model/index.ts';
import { defineIntervention, tempScale } from '../../interventions/index.ts';
import { evalCommand } from '../cli/eval.ts';
import { toyIntervention, toyModel } from '../testing/toy-model.ts';
import { loadEvalModel, readIntervention } from './load.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-documents-'));
afterAll(() => rmSync(root, { recursive: true }));
const lm = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));

/** Looks at what it is given, and leaves the model alone, though not its graph: the baseline’s prompts are run once for all settings. */
const neutral = tempScale({ temperature: 1 });
const seen: { documents: unknown; promptIds: RequestState['promptIds'] }[] = [];
defineIntervention({
  name: 'documents-probe',
  stage: 'logits',
  needs: ['document-spans'],
  reference: 'this test',
  schema: z.strictObject({
    documents: z.array(z.tuple([z.int(), z.int()])).optional(),
    strength: z.number().default(1),
  }),
  plan: neutral.kind.plan,
  knobs: (_, model) => neutral.kind.knobs(neutral, model),
  feed: ({ documents }, _model, { promptIds, step }) => {
    if (step === 0) seen.push({ documents, promptIds });
    return {};
  },
});

const quiet = { write: () => true };

test.each([
  ['worlds-documents', 5, 10],
  ['worlds-judge', 2, 20],
])('%s: each prompt with its %i documents, under one specification', async (task, k, prompts) => {
  const out = join(root, task);
  seen.length = 0;
  const argv = ['--model', lm, '--task', task, '--limit', '10', '--intervention', 'documents-probe'];
  const world = { loadModel: loadEvalModel, readIntervention, stdout: quiet, stderr: quiet };
  expect(await evalCommand([...argv, '--resamples', '100', '--out', out], world)).toBe(0);

  expect(seen).toHaveLength(prompts);
  const model = await loadEvalModel(lm);
  const newline = model.language.encode('\n', { specialTokens: false }).at(-1);
  for (const { documents, promptIds } of seen) {
    const spans = documents as [number, number][];
    expect(spans).toHaveLength(k);
    // Every document ends its line, the next one begins there, and the prefix and the question are none of them.
    spans.forEach(([from, to], i) => {
      expect(promptIds![0]![to - 1]).toBe(newline);
      if (i > 0) expect(from).toBe(spans[i - 1]![1]);
    });
    expect(spans[0]![0]).toBeGreaterThan(1);
    expect(spans.at(-1)![1]).toBeLessThan(promptIds![0]!.length);
  }
  await model.dispose();

  const report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'));
  expect(report.runs[1].specification).toEqual([{ intervention: 'documents-probe', strength: 1 }]);
  const [metric] = Object.keys(report.runs[1].delta);
  expect(report.runs[1].delta[metric!].value).toBe(0);
});

test('a task without parts is refused before the model is loaded', async () => {
  const needing = { ...toyIntervention({ intervention: 'x' }), needs: ['document-spans'] };
  const world = {
    loadModel: async () => toyModel({ onCall: () => expect.unreachable() }),
    readIntervention: () => needing,
    stdout: quiet,
    stderr: quiet,
  };
  const argv = [
    '--model',
    'toy',
    '--task',
    'worlds-sentiment',
    '--intervention',
    'x',
    '--out',
    join(root, 'no'),
  ];
  await expect(evalCommand(argv, world)).rejects.toMatchObject({ code: 'TASK_NO_DOCUMENTS' });
});

test('prompts that would be cut at the left are refused, not moved', async () => {
  const model = await loadEvalModel(lm);
  await model.use([readIntervention({ intervention: 'documents-probe' })]);
  const { maxLength, prefixToken } = model.language;
  const context = Array<number>(maxLength + 1).fill(prefixToken);
  const run = (documents?: [number, number][]) =>
    model.language.logLikelihoods([{ context, continuation: [5], documents }]);
  await expect(run([[1, 3]])).rejects.toMatchObject({ code: 'SCORE_TOO_LONG' });
  await expect(run()).rejects.toMatchObject({ code: 'SCORE_NO_DOCUMENTS' });
  await model.dispose();
});
