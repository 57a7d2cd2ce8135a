/** The native runtime against onnxruntime-node: same bytes out, caches that stay where they are, errors in words. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openModel } from '../../../onnx/index.ts';
import { loadFixture } from '../../../testbed/fixtures/load.ts';
import { completeFeeds } from '../feeds.ts';
import { loadRuntime, type OrtSession, type OrtTensor, type Runtime } from '../runtime.ts';
import { loadAddon } from './addon.ts';
import { native, WHY_NOT } from './native.test-support.ts';
import type { NativeSession } from './session.ts';

type Tensors = Record<string, OrtTensor>;

const node = await loadRuntime('node');
const stock = node as unknown as { InferenceSession: { create(path: string): Promise<OrtSession> } };
const folder = mkdtempSync(join(tmpdir(), 'attune-native-'));
const open: OrtSession[] = [];
afterAll(async () => {
  for (const session of open) await session.release();
  rmSync(folder, { recursive: true });
});

const graphOf = (fixture: string) => join(loadFixture(fixture).folder, 'onnx/model.onnx');

async function nativeSession(path: string | Uint8Array, options: object = {}): Promise<NativeSession> {
  const session = await native!.InferenceSession.create(path, options);
  open.push(session);
  return session;
}

async function stockSession(path: string): Promise<OrtSession> {
  const session = await stock.InferenceSession.create(path);
  open.push(session);
  return session;
}

const STAY = { preferredOutputLocation: 'gpu-buffer' };

/** First feeds of a fixture. */
async function feedsOf(
  path: string,
  ids: number[][] = [[1, 5, 9, 4]],
  runtime: Runtime = node,
): Promise<Tensors> {
  const file = await openModel(path);
  file.close();
  return completeFeeds(file.model.graph, { input_ids: ids }, runtime);
}

const long = (values: readonly number[], dims: number[]) =>
  new node.Tensor('int64', BigInt64Array.from(values, BigInt), dims);

/** Feeds of the next call: one token of each row after what `results` left. */
function next(results: Tensors, token: number): Tensors {
  const caches = Object.entries(results).filter(([name]) => name.startsWith('present'));
  const [B, , T] = caches[0]![1].dims as [number, number, number];
  return {
    input_ids: long(new Array<number>(B).fill(token), [B, 1]),
    attention_mask: long(new Array<number>(B * (T + 1)).fill(1), [B, T + 1]),
    position_ids: long(new Array<number>(B).fill(T), [B, 1]),
    ...Object.fromEntries(
      caches.map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    ),
  };
}

const bytes = (tensor: OrtTensor) => {
  const { buffer, byteOffset, byteLength } = tensor.data as Float32Array;
  return Buffer.from(buffer, byteOffset, byteLength);
};

function expectSame(a: Tensors, b: Tensors, at: string): void {
  expect(Object.keys(a)).toEqual(Object.keys(b));
  for (const name of Object.keys(a)) {
    expect(a[name]!.type, name).toBe(b[name]!.type);
    expect([...a[name]!.dims], `${at}: ${name}`).toEqual([...b[name]!.dims]);
    expect(bytes(a[name]!).equals(bytes(b[name]!)), `${at}: ${name}`).toBe(true);
  }
}

const capacityOf = (tensor: OrtTensor): number | null =>
  (tensor as unknown as { gpuBuffer: { capacity: number | null } }).gpuBuffer.capacity;

describe.skipIf(!native)(`the native runtime${WHY_NOT}`, () => {
  test.each(['llama-gqa', 'llama-dynamo', 'llama-mha', 'gpt2', 'phi3-gqa', 'qwen3-sdpa'])(
    '%s: names, metadata and outputs are those of onnxruntime-node',
    async (fixture) => {
      const path = graphOf(fixture);
      const [own, other] = [await nativeSession(path), await stockSession(path)];
      expect(own.inputNames).toEqual(other.inputNames);
      expect(own.outputNames).toEqual(other.outputNames);
      expect(own.inputMetadata).toEqual(other.inputMetadata);
      expect(own.outputMetadata).toEqual(other.outputMetadata);
      const feeds = await feedsOf(path);
      expectSame(await own.run(feeds), await other.run(feeds), fixture);
      expect(Object.keys(await own.run(feeds, ['logits']))).toEqual(['logits']);
    },
  );

  test.each(['llama-gqa', 'llama-gqa-separate', 'gemma2-gqa', 'gemma3-gqa'])(
    '%s: forty tokens on caches in place, byte for byte',
    async (fixture) => {
      const path = graphOf(fixture);
      const [own, other] = [await nativeSession(path, STAY), await stockSession(path)];
      expect(own.sharedCaches.length).toBeGreaterThan(0);
      const start = await feedsOf(path);
      let results = [await own.run(start), await other.run(start)] as [Tensors, Tensors];
      const first = results[0]['present.0.key']!;
      expect(first.location).toBe('gpu-buffer');
      for (let step = 0; step < 40; step++) {
        expectSame(results[0], results[1], `step ${step}`);
        results = [await own.run(next(results[0], step)), await other.run(next(results[1], step))];
      }
      expectSame(results[0], results[1], 'the last');
      // One buffer from the first token to the last: the old handle still shows its own part.
      expect(capacityOf(results[0]['present.0.key']!)).toBe(capacityOf(first));
      expect([...first.dims]).toEqual([1, first.dims[1], 4, first.dims[3]]);
    },
  );

  test('decomposed attention has its caches in native memory too, each in its own', async () => {
    const path = graphOf('llama-eager');
    const [own, other] = [await nativeSession(path, STAY), await stockSession(path)];
    const start = await feedsOf(path);
    const [a, b] = [await own.run(start), await other.run(start)];
    expect(capacityOf(a['present.0.key']!)).toBe(null);
    expectSame(await own.run(next(a, 3)), await other.run(next(b, 3)), 'second call');
  });

  test('a cache that two calls continue is copied for the second: branches do not meet', async () => {
    const path = graphOf('llama-gqa');
    const [own, other] = [await nativeSession(path, STAY), await stockSession(path)];
    const start = await feedsOf(path, [[1, 5, 9, 4, 7, 2, 8]]);
    const [a, b] = [await own.run(start), await other.run(start)];
    // At once, from one handle, and then each on from where it is.
    const tokens = [3, 4, 5];
    const branches = await Promise.all(tokens.map((token) => own.run(next(a, token))));
    for (const [i, token] of tokens.entries()) {
      const expected = await other.run(next(b, token));
      expectSame(branches[i]!, expected, `branch ${token}`);
      expectSame(
        await own.run(next(branches[i]!, 9)),
        await other.run(next(expected, 9)),
        `on from ${token}`,
      );
    }
    // And the prompt's cache is as it was.
    expectSame(await own.run(next(a, 6)), await other.run(next(b, 6)), 'from the prompt again');
  });

  test('a cache that outgrows its buffer moves to one of twice the size', async () => {
    const path = graphOf('qwen2-gqa');
    const own = await nativeSession(path, STAY);
    const other = await stockSession(path);
    const start = await feedsOf(path, [[1]]);
    let results = [await own.run(start), await other.run(start)] as [Tensors, Tensors];
    const capacity = capacityOf(results[0]['present.0.key']!)!;
    const limit = 128; // rows of the fixture's rotary table
    // A cache of the caller's own, nearly as long as the table, in memory of JavaScript.
    const fill = (tensor: OrtTensor) => {
      const [, K, , D] = tensor.dims as [number, number, number, number];
      const size = K * (limit - 2) * D;
      const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
      return new node.Tensor('float32', data, [1, K, limit - 2, D]);
    };
    const filled = Object.fromEntries(
      Object.entries(results[0]).map(([name, tensor]) => [
        name,
        name.startsWith('present') ? fill(tensor) : tensor,
      ]),
    );
    results = [await own.run(next(filled, 3)), await other.run(next(filled, 3))];
    expectSame(results[0], results[1], 'after a cache from JavaScript');
    expect(capacityOf(results[0]['present.0.key']!)).toBeGreaterThan(limit);
    expect(capacity).toBeLessThan(capacityOf(results[0]['present.0.key']!)!);
  });

  test('batches, left-padded as transformers.js pads them', async () => {
    const path = graphOf('llama-gqa');
    const [own, other] = [await nativeSession(path, STAY), await stockSession(path)];
    const padded = {
      ...(await feedsOf(path, [
        [0, 0, 9, 4],
        [1, 5, 9, 4],
      ])),
      attention_mask: long([0, 0, 1, 1, 1, 1, 1, 1], [2, 4]),
    };
    let results = [await own.run(padded), await other.run(padded)] as [Tensors, Tensors];
    for (let step = 0; step < 5; step++) {
      expect(bytes(results[0].logits!).equals(bytes(results[1].logits!))).toBe(true);
      const mask = long(
        [0, 0, ...new Array<number>(3 + step).fill(1), ...new Array<number>(5 + step).fill(1)],
        [2, 5 + step],
      );
      results = [
        await own.run({ ...next(results[0], step), attention_mask: mask }),
        await other.run({ ...next(results[1], step), attention_mask: mask }),
      ];
    }
    expect(bytes(results[0].logits!).equals(bytes(results[1].logits!))).toBe(true);
  });

  test('runs leave the main thread alone, and end early when told to', async () => {
    const path = graphOf('llama-gqa');
    const own = await nativeSession(path);
    const feeds = await feedsOf(path, [Array.from({ length: 100 }, (_, i) => i % 50)]);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 0);
    for (let run = 0; run < 20; run++) await own.run(feeds);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
    await expect(own.run(feeds, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'RUN_CANCELLED',
    });
    expect((await own.run(feeds, { signal: new AbortController().signal })).logits!.dims[1]).toBe(100);
  });

  test('an output goes into the tensor that was allocated for it', async () => {
    const path = graphOf('llama-gqa');
    const own = await nativeSession(path, STAY);
    const feeds = await feedsOf(path);
    const { logits } = await own.run(feeds, ['logits']);
    const given = new node.Tensor('float32', new Float32Array(bytes(logits!).length / 4), logits!.dims);
    const fetched = await own.run(feeds, { logits: given });
    expect(fetched.logits).toBe(given);
    expect(bytes(given).equals(bytes(logits!))).toBe(true);
    const small = new node.Tensor('float32', new Float32Array(1), [1]);
    await expect(own.run(feeds, { logits: small })).rejects.toMatchObject({ code: 'OUTPUT_SHAPE' });
  });

  test('handles are disposed of, counted, and outlive their session', async () => {
    const path = graphOf('llama-gqa');
    const own = await nativeSession(path, STAY);
    const [first, second] = [await own.run(await feedsOf(path)), await own.run(await feedsOf(path))];
    const both = own.heldBytes;
    for (const tensor of Object.values(second)) if (tensor.location === 'gpu-buffer') tensor.dispose!();
    expect(own.heldBytes).toBe(both / 2);
    const disposed = next(first, 1);
    disposed['past_key_values.0.key'] = second['present.0.key']!;
    await expect(own.run(disposed)).rejects.toMatchObject({ code: 'HANDLE_DISPOSED' });
    await own.release();
    await own.release();
    await expect(own.run(await feedsOf(path))).rejects.toMatchObject({ code: 'SESSION_RELEASED' });
    const later = await nativeSession(path, STAY);
    const other = await stockSession(path);
    const expected = await other.run(next(await other.run(await feedsOf(path)), 2));
    expectSame(await later.run(next(first, 2)), expected, 'a cache of a session that is gone');
  });

  test('two thousand prompts whose caches nobody disposes of: memory stays flat', async () => {
    const path = graphOf('llama-gqa');
    const own = await nativeSession(path, STAY);
    const feeds = await feedsOf(path);
    const runs = async (count: number) => {
      for (let run = 0; run < count; run++) await own.run(feeds);
      return process.memoryUsage().rss;
    };
    const before = await runs(1000);
    expect(await runs(1000)).toBeLessThan(before + 64 * 2 ** 20);
  });
});

describe.skipIf(!native)(`what cannot be is said${WHY_NOT}`, () => {
  test.each([0, 1000, 1.5, -1])('%s threads', async (intraOpNumThreads) => {
    await expect(nativeSession(graphOf('llama-gqa'), { intraOpNumThreads })).rejects.toMatchObject({
      code: 'THREADS_INVALID',
    });
  });

  test.each([
    [{ executionProviders: ['cuda'] }, 'NATIVE_OPTION'],
    [{ externalData: [{ path: 'weights', data: new Uint8Array(4) }] }, 'NATIVE_OPTION'],
    [{ graphOptimizationLevel: 'most' }, 'NATIVE_OPTION'],
  ])('%j', async (options, code) => {
    await expect(nativeSession(graphOf('llama-gqa'), options)).rejects.toMatchObject({ code });
  });

  test('a file that is no model, and none', async () => {
    for (const model of [join(folder, 'none.onnx'), new Uint8Array([1, 2, 3])]) {
      await expect(nativeSession(model)).rejects.toMatchObject({ code: 'SESSION_FAILED' });
    }
  });

  test('feeds that are missing, of another runtime, of strings, and with caches that do not fit', async () => {
    const path = graphOf('llama-gqa');
    const own = await nativeSession(path, STAY);
    const feeds = await feedsOf(path);
    const { attention_mask: _, ...rest } = feeds;
    const { fromGpuBuffer } = node.Tensor as unknown as {
      fromGpuBuffer(buffer: object, options: object): OrtTensor;
    };
    const foreign = fromGpuBuffer({}, { dataType: 'int64', dims: [1, 4] });
    const strings = new node.Tensor('string', ['a'], [1]);
    const results = await own.run(feeds);
    const torn = { ...next(results, 1), 'past_key_values.0.key': feeds['past_key_values.0.key']! };
    for (const [given, code] of [
      [rest, 'INPUT_MISSING'],
      [{ ...feeds, input_ids: foreign }, 'HANDLE_FOREIGN'],
      [{ ...feeds, input_ids: strings }, 'NATIVE_TENSOR'],
      [{ ...feeds, attention_mask: long([1], [1, 1]) }, 'RUN_FAILED'],
      [torn, 'RUN_FAILED'],
    ] as const) {
      await expect(own.run(given), code).rejects.toMatchObject({ code });
    }
    await expect(own.run(feeds, ['logit'])).rejects.toMatchObject({ code: 'OUTPUT_UNKNOWN' });
    // After all of that the session runs, and so does the cache that a failed run was fed.
    expect((await own.run(next(results, 1))).logits!.dims[1]).toBe(1);
  });
});

describe('what is missing is named', () => {
  test('no addon, and a file that is none', async () => {
    await expect(loadAddon({ addon: join(folder, 'absent.node') })).rejects.toMatchObject({
      code: 'NATIVE_ADDON',
      hint: expect.stringContaining('build:native'),
    });
    const other = join(folder, 'other.node');
    writeFileSync(other, 'not a shared object');
    await expect(loadAddon({ addon: other })).rejects.toMatchObject({ code: 'NATIVE_ADDON', at: other });
  });

  test.skipIf(!native)(`a library that moved, and one that is not ONNX Runtime${WHY_NOT}`, async () => {
    await expect(loadAddon({ library: join(folder, 'moved.so') })).rejects.toMatchObject({
      code: 'NATIVE_LIBRARY',
    });
    await expect(loadAddon({ library: native!.native.path })).rejects.toMatchObject({
      code: 'NATIVE_LIBRARY',
    });
  });
});
