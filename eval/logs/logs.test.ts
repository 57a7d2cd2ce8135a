/** Logs of other tools, compared as runs of our own are; in the tools' formats, written by hand. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compareCommand } from '../cli/compare.ts';
import { mcnemarExact } from '../statistics/mcnemar.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-logs-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (...names: string[]) => join(root, ...names);

async function compared(...argv: string[]) {
  const out = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof out) => ({
    write: (text: string) => {
      out[name] += text;
    },
  });
  await compareCommand([...argv, '--resamples', '200', '--json'], {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
  });
  return { ...JSON.parse(out.stdout), notes: out.stderr };
}

const TIME = '2026-11-30T12-00-00.123456';

describe('lm-evaluation-harness', () => {
  const sample = (id: number, values: object, filter = 'none') => ({
    ...{ doc_id: id, doc: { q: `${id}` }, target: '0', arguments: {}, resps: [], filtered_resps: [] },
    ...{ filter, doc_hash: `hash ${id}`, metrics: Object.keys(values), ...values },
  });
  const write = (folder: string, task: string, samples: readonly object[], time = TIME) => {
    mkdirSync(path(folder), { recursive: true });
    const lines = samples.map((one) => `${JSON.stringify(one)}\n`).join('');
    writeFileSync(path(folder, `samples_${task}_${time}.jsonl`), lines);
    writeFileSync(path(folder, `results_${time}.json`), JSON.stringify({ model_name: `org/${folder}` }));
  };
  const ids = Array.from({ length: 30 }, (_, i) => i);

  test('two models on one task: McNemar on the documents they share, perplexities of texts', async () => {
    const texts = (scale: number) => ids.map((i) => sample(i, { word_perplexity: [-10 * scale - i, 5 + i] }));
    write(
      'one',
      'arc_easy',
      ids.map((i) => sample(i, { acc: i < 12 ? 1.0 : 0.0, acc_norm: 1.0 })),
    );
    write(
      'two',
      'arc_easy',
      ids.slice(2).map((i) => sample(i, { acc: i < 20 ? 1.0 : 0.0, bleu: [1, 2] })),
    );
    write('one', 'wikitext', texts(1));
    write('two', 'wikitext', texts(2));
    const { comparisons, notes } = await compared(path('one'), path('two'));
    const [arc, wiki] = comparisons;
    expect(arc).toMatchObject({
      task: 'arc_easy',
      n: 28,
      onlyA: 2,
      a: { model: 'org/one' },
      b: { model: 'org/two' },
    });
    expect(arc.metrics.acc).toMatchObject({ a: { value: 10 / 28 }, b: { value: 18 / 28 } });
    expect(arc.metrics.acc.delta).toMatchObject({
      gained: 8,
      lost: 0,
      p: mcnemarExact({ gained: 8, lost: 0 }),
    });
    expect(arc.metrics).not.toHaveProperty('acc_norm');
    const [sum, words] = ids.reduce(([s, w], i) => [s + 10 + i, w + 5 + i], [0, 0]);
    expect(wiki.metrics.word_perplexity.a.value).toBeCloseTo(Math.exp(sum! / words!), 10);
    expect(notes).toBe('not compared, since attune has no such metric: bleu\n');
  });

  test('filters are settings, a single file is a run, folders of several models are read', async () => {
    const both = (right: number) =>
      ids.flatMap((i) => [
        sample(i, { exact_match: Number(i < right) }, 'strict-match'),
        sample(i, { exact_match: Number(i < right + 3) }, 'flexible-extract'),
      ]);
    write('out/a', 'gsm8k', both(10));
    write('out/b', 'gsm8k', both(14));
    const file = (name: string) => path('out', name, `samples_gsm8k_${TIME}.jsonl`);
    const { comparisons } = await compared(file('a'), file('b'));
    expect(comparisons.map(({ a }: { a: { setting: string } }) => a.setting)).toEqual([
      'strict-match',
      'flexible-extract',
    ]);
    const within = await compared(path('out'), path('out'));
    expect(within.comparisons).toHaveLength(4);
  });

  test('two runs in one folder, a broken line, metrics of which none is known', async () => {
    write('twice', 't', [sample(0, { acc: 1 })]);
    write('twice', 't', [sample(0, { acc: 0 })], '2026-12-01T12-00-00');
    // Of another model, by their results; but the model is the same.
    writeFileSync(path('twice', 'results_2026-12-01T12-00-00.json'), '{"model_name":"org/twice"}');
    await expect(compared(path('twice'), path('one'))).rejects.toThrow(/LOG_REPEATED: at .*2026-12-01.*:1/);
    mkdirSync(path('broken'));
    writeFileSync(path('broken', `samples_t_${TIME}.jsonl`), '{"doc_id":0,"acc":1}\n{"doc":');
    await expect(compared(path('broken'), path('one'))).rejects.toThrow(/LOG_FORMAT: at .*jsonl:2/);
    write('unknown', 't', [sample(0, { bleu: 1 })]);
    await expect(compared(path('unknown'), path('one'))).rejects.toThrow(/LOG_EMPTY.*bleu/);
    await expect(compared(path('nothing'), path('one'))).rejects.toThrow(/RUN_MISSING/);
  });
});

describe('Inspect', () => {
  const write = (name: string, value: (i: number, epoch: number) => object, more: object = {}) => {
    const samples = Array.from({ length: 40 }, (_, i) => ({
      ...{ id: i % 20, epoch: 1 + Math.floor(i / 20), input: `question ${i % 20}`, target: 'x' },
      scores: value(i % 20, 1 + Math.floor(i / 20)),
    }));
    const log = {
      version: 2,
      status: 'success',
      eval: { task: 'theory', model: `m/${name}` },
      samples,
      ...more,
    };
    writeFileSync(path(`${name}.json`), JSON.stringify(log));
    return path(`${name}.json`);
  };

  test('right and wrong answers, epochs in clusters; what attune cannot measure is named', async () => {
    const a = write('a', (i) => ({ match: { value: i < 8 ? 'C' : 'I' }, judge: { value: { style: 3 } } }));
    const b = write('b', (i, epoch) => ({
      match: { value: i < 8 + 2 * epoch ? 'C' : 'I' },
      judge: { value: 0.7 },
    }));
    const { comparisons, notes } = await compared(a, b);
    expect(comparisons).toHaveLength(1);
    expect(comparisons[0].metrics.acc).toMatchObject({ a: { value: 0.4 }, b: { value: 0.55 } });
    expect(comparisons[0].metrics.acc.delta).toMatchObject({ n: 40, gained: 6, lost: 0 });
    expect(notes).toContain('judge');
  });

  test('a run that failed, another version, no JSON', async () => {
    const fine = write('fine', () => ({ match: { value: 1 } }));
    const failed = write('failed', () => ({}), { status: 'error' });
    await expect(compared(failed, fine)).rejects.toThrow(/LOG_UNFINISHED.*status error/);
    await expect(
      compared(
        write('old', () => ({}), { version: 1 }),
        fine,
      ),
    ).rejects.toThrow(/LOG_FORMAT/);
    writeFileSync(path('run.eval'), 'PK');
    await expect(compared(path('run.eval'), fine)).rejects.toThrow(/LOG_FORMAT.*inspect log convert/s);
  });
});
