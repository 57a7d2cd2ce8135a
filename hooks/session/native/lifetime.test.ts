/** The addon by itself, in processes of their own: whatever ends while it is at work, and whatever it is given, no process dies of it. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadFixture } from '../../../testbed/fixtures/load.ts';
import { native, WHY_NOT } from './native.test-support.ts';

const ONNXRUNTIME = createRequire(import.meta.url).resolve('onnxruntime-node');
const MODEL = join(loadFixture('llama-gqa').folder, 'onnx/model.onnx');

/** What every script below begins with: the addon, a session, and runs of four tokens with caches in place. */
const PREFIX = `
const { Worker, isMainThread } = require('node:worker_threads');
const [addon, library, model, onnxruntime] = ${JSON.stringify([
  native?.native.path,
  native?.native.library,
  MODEL,
  ONNXRUNTIME,
])};
const native = () => require(addon);
const PLAIN = { freeDimensionOverrides: [], entries: [] };
const open = () => native().createSession(library, model, PLAIN);
const longs = (...values) => new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
const prompt = (session) => {
  const inputs = session.inputs;
  const data = inputs.map(({ name }) => (name === 'input_ids' ? longs(1, 5, 9, 4) : name === 'attention_mask' ? longs(1, 1, 1, 1) : new Uint8Array(0)));
  const dims = inputs.map(({ name, dims }) => (name.startsWith('past') ? [1, dims[1], 0, dims[3]] : [1, 4]));
  const outputs = session.outputs.map(({ name }) => name);
  const shared = inputs.flatMap(({ name }, feed) =>
    name.startsWith('past') ? [{ feed, output: outputs.indexOf(name.replace('past_key_values', 'present')), total: 4 }] : []);
  return [inputs.map((_, i) => i), inputs.map(({ element }) => element), dims, data, outputs.map((_, i) => i), outputs.map((name) => name.startsWith('present')), shared];
};
const run = (session) => session.run(...prompt(session));
const check = (results) => { if (results.length !== 5 || results[0].dims.length !== 3) throw new Error('outputs'); };
const stock = async () => {
  const { InferenceSession } = require(onnxruntime);
  return InferenceSession.create(model);
};
`;

function ends(script: string): void {
  const { status, signal, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', PREFIX + script], {
    encoding: 'utf8',
    timeout: 600_000,
  });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
}

describe.skipIf(!native)(`a process lives and ends in peace${WHY_NOT}`, () => {
  test.each([
    ['with live sessions and caches', 'open().then(run).then(check)'],
    ['in the middle of a run', 'open().then((s) => { run(s); run(s); process.exit(0); })'],
    ['while a session is being made', 'open(); setImmediate(() => process.exit(0))'],
    [
      'released while it runs',
      'open().then((s) => { const r = run(s); s.release(); return r.then(check); })',
    ],
    ['with onnxruntime-node loaded first', 'stock().then(open).then(run).then(check)'],
    [
      'with onnxruntime-node loaded second',
      'open().then(async (s) => { await stock(); check(await run(s)); })',
    ],
    [
      'when handles are collected, disposed of twice, and read after their session',
      `open().then(async (s) => {
        const results = await run(s);
        s.release();
        const { handle } = results.find(({ handle }) => handle);
        if (handle.download().length === 0 || handle.capacity < 4) throw new Error('handle');
        handle.dispose();
        handle.dispose();
        results.length = 0;
        for (let i = 0; i < 5; i++) { gc(); await new Promise((done) => setTimeout(done, 10)); }
        if (s.held !== 0) throw new Error('held ' + s.held);
      })`,
    ],
  ])('%s', (_, script) => {
    ends(script);
  });

  test('with four workers, one after the other, ended as they run', () => {
    const worker = `${PREFIX} open().then((s) => { run(s).then(() => require('node:worker_threads').parentPort.postMessage('ran')); run(s); run(s); });`;
    ends(`
      (async () => {
        for (let i = 0; i < 4; i++) {
          const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
          await new Promise((done, failed) => { worker.once('message', done); worker.once('error', failed); });
          await worker.terminate();
        }
        check(await run(await open()));
      })()`);
  });

  test('fed with what fits nowhere', () => {
    ends(`
      open().then(async (session) => {
        const good = () => prompt(session).map((list) => structuredClone(list));
        const hostile = [
          (a) => (a[0][0] = 99),
          (a) => (a[0] = []),
          (a) => (a[1][0] = 8),
          (a) => (a[1][0] = 1e6),
          (a) => (a[2][0] = [-1, -4]),
          (a) => (a[2][0] = [2 ** 40, 2 ** 40]),
          (a) => (a[2][0] = []),
          (a) => (a[3][0] = new Uint8Array(7)),
          (a) => (a[3][0] = { made: 'up' }),
          (a) => (a[3][0] = null),
          (a) => (a[4][0] = 77),
          (a) => (a[5] = []),
          (a) => (a[6][0].feed = 50),
          (a) => (a[6][0].feed = 0),
          (a) => (a[6][0].output = 50),
          (a) => (a[6][0].total = 4_000_000_000),
          (a) => (a[6][0].total = -1),
          (a) => a[6].push(a[6][0]),
          (a) => a[6].push({ ...a[6][1], output: a[6][0].output }),
          (a) => (a[6] = 'nonsense'),
          (a) => (a[7] = {}),
        ];
        for (const spoil of hostile) {
          const given = good();
          spoil(given);
          const error = await Promise.resolve().then(() => session.run(...given)).then(() => undefined, (cause) => cause);
          // Systems differ in how much memory they promise.
          const promised = given[6][0]?.total > 1e9 || given[6][0]?.total < 0;
          if (!(error instanceof Error) && !promised) throw new Error('accepted ' + spoil);
        }
        check(await run(session));
      }).catch((error) => { console.error(error); process.exit(1); })`);
  });
});
