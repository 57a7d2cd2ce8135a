/** A graph with the native operator: its kernel against its body on the same bytes, its caches, and what it is given in vain. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { assemble, DataType, encodeModel, type Model, openModel } from '../../../onnx/index.ts';
import { recognise } from '../../../sites/index.ts';
import { loadFixture } from '../../../testbed/fixtures/load.ts';
import { compile, type Edit, type EditContext, type LoweringName } from '../../compile/index.ts';
import { completeFeeds } from '../feeds.ts';
import { loadRuntime, type OrtSession, type OrtTensor } from '../runtime.ts';
import { native, WHY_NOT } from './native.test-support.ts';

type Tensors = Record<string, OrtTensor>;
const node = await loadRuntime('node');
const TAKEN = ['GroupedAttention1'];

/** A fixture whose logits of the first key are raised by a knob, for a runtime with the operator. */
async function edited(fixture: string, lowering: LoweringName | 'measured' = 'native'): Promise<Model> {
  const file = await openModel(readFileSync(join(loadFixture(fixture).folder, 'onnx/model.onnx')));
  const recognition = recognise(file.model);
  const build = ({ emit, once }: EditContext) =>
    once('raised', () => {
      const T = emit.dim('attention_mask', 1);
      const first = emit.op('Less', [emit.range(T), emit.ints(1)], 'first');
      return emit.op(
        'Mul',
        ['raise', emit.reshape(emit.cast(first, DataType.FLOAT), [1, 1, 1, -1])],
        'raised',
      );
    });
  const edits = recognition.sites.map((site): Edit => ({ kind: 'bias', site, build }));
  const knob = {
    name: 'raise',
    elemType: DataType.FLOAT,
    shape: [1],
    neutral: { dims: [1], data: new Float32Array(1) },
  };
  const { model } = compile(
    recognition,
    { knobs: [knob], edits },
    {
      operators: TAKEN,
      lowering: lowering === 'measured' ? undefined : lowering,
    },
  );
  file.close();
  return model;
}

const bytesOf = async (model: Model, fixture: string) => {
  const file = await openModel(readFileSync(join(loadFixture(fixture).folder, 'onnx/model.onnx')));
  return assemble(encodeModel(model), file.source);
};

const float = (values: readonly number[]) =>
  new node.Tensor('float32', Float32Array.from(values), [values.length]);
const long = (values: readonly number[], dims: number[]) =>
  new node.Tensor('int64', BigInt64Array.from(values, BigInt), dims);

async function prompt(model: Model, ids: number[][], raise: number): Promise<Tensors> {
  return completeFeeds(model.graph, { input_ids: ids, raise: [raise] }, node);
}

/** Feeds of the next call: one token of each row after what `results` left. */
function next(results: Tensors, token: number, raise: number): Tensors {
  const caches = Object.entries(results).filter(([name]) => name.startsWith('present'));
  const [B, , T] = caches[0]![1].dims as [number, number, number];
  return {
    raise: float([raise]),
    input_ids: long(new Array<number>(B).fill(token), [B, 1]),
    attention_mask: long(new Array<number>(B * (T + 1)).fill(1), [B, T + 1]),
    position_ids: long(new Array<number>(B).fill(T), [B, 1]),
    ...Object.fromEntries(
      caches.map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    ),
  };
}

const numbers = (tensor: OrtTensor) => tensor.data as Float32Array;
const worst = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

const IDS = [
  [1, 5, 9, 4, 7],
  [2, 8, 3, 6, 5],
];

describe.skipIf(!native)(`a graph with the operator${WHY_NOT}`, () => {
  test.each(['llama-gqa', 'gemma3-gqa'])(
    '%s: kernel and body, in one buffer and in many',
    async (fixture) => {
      const model = await edited(fixture);
      const bytes = await bytesOf(model, fixture);
      const stock = node as unknown as {
        InferenceSession: { create(model: Uint8Array): Promise<OrtSession> };
      };
      const body = await stock.InferenceSession.create(bytes);
      const own = await native!.InferenceSession.create(bytes);
      const shared = await native!.InferenceSession.create(bytes, { preferredOutputLocation: 'gpu-buffer' });
      expect(shared.sharedCaches.map(({ present }) => present).sort()).toEqual(
        model.graph.outputs
          .map(({ name }) => name)
          .filter((name) => name.startsWith('present'))
          .sort(),
      );
      // Switched on and off between the calls: either operator goes on in the buffer of the other.
      let [a, b, c]: Tensors[] = [{}, {}, {}];
      for (const [step, raise] of [2, -1, 0, 0, 1.5, 3].entries()) {
        const feeds = (before: Tensors) =>
          step === 0 ? prompt(model, IDS, raise) : next(before, step + 3, raise);
        [a, b, c] = [
          await body.run(await feeds(a!)),
          await own.run(await feeds(b!)),
          await shared.run(await feeds(c!)),
        ];
        for (const name of body.outputNames) {
          expect(worst(numbers(b![name]!), numbers(a![name]!)), `${name}, step ${step}`).toBeLessThan(2e-5);
          expect(
            Buffer.from(numbers(c![name]!).buffer).equals(Buffer.from(numbers(b![name]!).buffer)),
            name,
          ).toBe(true);
        }
      }
      for (const session of [body, own, shared]) await session.release();
    },
  );

  test('an operator of a version the addon lacks runs by its body', async () => {
    const model = await edited('llama-gqa');
    // The names are as long: the rest of the file stays as it is.
    const later = Buffer.from(await bytesOf(model, 'llama-gqa'))
      .toString('latin1')
      .replaceAll(`${TAKEN[0]}_`, 'GroupedAttention9_');
    const bytes = Buffer.from(later, 'latin1');
    const session = await native!.InferenceSession.create(bytes, { preferredOutputLocation: 'gpu-buffer' });
    // Nobody proved that its body may share.
    expect(session.sharedCaches).toEqual([]);
    const results = await session.run(await prompt(model, IDS, 2));
    expect(results.logits!.dims.slice(0, 2)).toEqual([2, 5]);
    await session.release();
  });
});

test('it is for those who ask: the graph has no such operator otherwise', async () => {
  const model = await edited('llama-gqa', 'measured');
  expect(model.functions.filter(({ name }) => name.startsWith('Grouped'))).toEqual([]);
});
