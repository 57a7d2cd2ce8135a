/** Second streams whose prompt differs from the first's: shorter, without the image, without the intervention's own edits. */
import { LlavaForConditionalGeneration, Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { defineIntervention, vcd, zeroTuning } from '../../../interventions/index.ts';
import { floats, type GoldenTensor, loadFixture } from '../../../testbed/fixtures/load.ts';
import {
  type AttunedModel,
  type Contrast,
  from_pretrained,
  type ModelTensor,
  type TransformersModel,
} from '../index.ts';

type Outputs = Record<string, Tensor> & { logits: Tensor };
interface Model extends TransformersModel, AttunedModel {
  (inputs: object): Promise<Outputs>;
  generate(options: object): Promise<Tensor>;
}

/** As PAI's guidance: attention edited in the first stream only, the second reads the text alone. */
const guided = defineIntervention({
  name: 'test-guided',
  stage: 'logits',
  needs: ['self-attention', 'second-pass'],
  reference: 'arXiv 2407.21771, the shape of it',
  schema: z.strictObject({ gamma: z.number(), editsSecond: z.boolean().default(false) }),
  plan: (model, variant) => zeroTuning.kind.plan(model, variant),
  knobs: (_, model) => zeroTuning.kind.knobs(zeroTuning({ gamma: 2 }), model),
  decoding: ({ gamma, editsSecond }): Contrast => ({
    kind: 'contrast',
    editsSecond,
    second: ({ input_ids, pixel_values }, { tensor, imageToken }) => {
      if (!pixel_values) return undefined;
      const ids = Array.from((input_ids as ModelTensor).data as BigInt64Array).filter(
        (id) => Number(id) !== imageToken,
      );
      return {
        input_ids: tensor('int64', BigInt64Array.from(ids), [1, ids.length]),
        attention_mask: tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
      };
    },
    combine: (first, second) => {
      for (let v = 0; v < first.length; v++) first[v] = gamma * first[v]! - (gamma - 1) * second[v]!;
    },
  }),
});

const { single } = loadFixture('llava').greedy! as unknown as {
  single: { inputs: Record<string, GoldenTensor>; prompt: number[] };
};
const pixels = single.inputs.pixel_values!;
const tensorOf = (row: readonly number[]) =>
  new Tensor('int64', BigInt64Array.from(row, BigInt), [1, row.length]);
const text = (row: readonly number[]) => ({
  input_ids: tensorOf(row),
  attention_mask: tensorOf(row.map(() => 1)),
});
const seen = (row: readonly number[]) => ({
  ...text(row),
  pixel_values: new Tensor('float32', floats(pixels), [...pixels.shape]),
});
const last = ({ logits }: Outputs): Float32Array => (logits.data as Float32Array).slice(-logits.dims.at(-1)!);

let model: Model;
/** Runs the streams one by one; its graph has the same edits under ZeroTuning's own name. */
let byHand: Model;
beforeAll(async () => {
  const { folder } = loadFixture('llava-gqa');
  model = (await from_pretrained(LlavaForConditionalGeneration as never, folder, { dtype: 'fp32' })) as Model;
  byHand = (await from_pretrained(LlavaForConditionalGeneration as never, folder, {
    dtype: 'fp32',
  })) as Model;
});
afterAll(async () => {
  await model.dispose();
  await byHand.dispose();
});

test.each([false, true])(
  'a second stream without the image, with the edits of the first: %s',
  async (editsSecond) => {
    const sequence = [...single.prompt];
    const wanted: number[] = [];
    for (let i = 0; i < 12; i++) {
      byHand.use([zeroTuning({ gamma: 2 })]);
      const first = last(await byHand(seen(sequence)));
      byHand.use(editsSecond ? [zeroTuning({ gamma: 2 })] : []);
      const second = last(await byHand(text(sequence.filter((id) => id !== model.config.image_token_index))));
      const scores = first.map((value, v) => 1.5 * value - 0.5 * second[v]!);
      wanted.push(scores.indexOf(Math.max(...scores)));
      sequence.push(wanted.at(-1)!);
    }
    model.use([guided({ gamma: 1.5, editsSecond })]);
    const output = await model.generate({ ...seen(single.prompt), max_new_tokens: 12, eos_token_id: null });
    expect((output.tolist() as bigint[][])[0]!.slice(single.prompt.length).map(Number)).toEqual(wanted);
    // The stream that is followed is the first: its image, its length.
    const from = single.prompt.indexOf(model.config.image_token_index);
    expect(model.attune.request).toMatchObject({ step: 11, past: single.prompt.length + 10 });
    expect(model.attune.request.imageSpans[0]).toMatchObject({ row: 0, from });
  },
);

test('every position that both streams have is contrasted, and outside generate all are', async () => {
  byHand.use([zeroTuning({ gamma: 2 })]);
  const first = (await byHand(seen(single.prompt))).logits;
  byHand.use([]);
  const rest = single.prompt.filter((id) => id !== model.config.image_token_index);
  const second = (await byHand(text(rest))).logits;
  model.use([guided({ gamma: 1.5 })]);
  const both = (await model(seen(single.prompt))).logits;
  const V = first.dims.at(-1)!;
  const [S, R] = [single.prompt.length, rest.length];
  const row = (tensor: Tensor, s: number) => (tensor.data as Float32Array).subarray(s * V, (s + 1) * V);
  expect(row(both, S - R - 1)).toEqual(row(first, S - R - 1));
  for (let back = 1; back <= R; back++) {
    const wanted = row(first, S - back).map((value, v) => 1.5 * value - 0.5 * row(second, R - back)[v]!);
    row(both, S - back).forEach((value, v) => {
      expect(Math.abs(value - wanted[v]!)).toBeLessThan(1e-4);
    });
  }
});

test('two that decide how tokens are chosen exclude each other, and those in force stay', () => {
  model.use([vcd({})]);
  expect(() => model.use([vcd({}), guided({ gamma: 1.5 })])).toThrow(
    /INTERVENTION_CONFLICT.*vcd with test-guided/,
  );
  expect(model.attune.interventions.map(({ intervention }) => intervention)).toEqual(['vcd']);
});
