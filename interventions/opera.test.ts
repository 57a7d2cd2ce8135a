/** OPERA's search against its definition: no cache, no running sums, every candidate and every attention row from scratch. */
import { LlavaForConditionalGeneration, Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AttunedModel,
  from_pretrained,
  type SearchModel,
  type TransformersModel,
} from '../hooks/model/index.ts';
import { floats, type GoldenTensor, loadFixture } from '../testbed/fixtures/load.ts';
import { beamSearch, opera } from './index.ts';
import { operaGenerate } from './opera.ts';

type Model = TransformersModel &
  AttunedModel &
  ((inputs: object) => Promise<{ logits: Tensor }>) & { generate(options: object): Promise<Tensor> };

const { single } = loadFixture('llava').greedy! as unknown as {
  single: { inputs: Record<string, GoldenTensor>; prompt: number[] };
};
const pictures = single.inputs.pixel_values!;
const inputsOf = (row: readonly number[]) => ({
  input_ids: new Tensor('int64', BigInt64Array.from(row, BigInt), [1, row.length]),
  attention_mask: new Tensor('int64', new BigInt64Array(row.length).fill(1n), [1, row.length]),
  pixel_values: new Tensor('float32', floats(pictures), [...pictures.shape]),
});

interface Spec {
  beams: number;
  candidates: number;
  sigma: number;
  alpha: number;
  threshold: number;
  rollbacks: number;
  factor: number;
  shortResponse: number;
  minLocation: number;
  semantics: 'code' | 'paper';
}

/** Attention of the last layer, [H,T,T], and next-token logits of a whole sequence. */
async function seen(model: Model, sequence: readonly number[]) {
  const last = model.attune.hookNames.filter((name) => name.endsWith('attn.hook_pattern')).at(-1)!;
  const { output, cache } = await model.runWithCache(inputsOf(sequence), last);
  const logits = output.logits as Tensor;
  const { dims, data } = cache.get(last)!;
  const [, H, T] = dims as [number, number, number];
  /** Maximum over heads, renormalised. */
  const row = (s: number) => {
    const most = Array.from({ length: T }, (_, t) =>
      Math.max(...Array.from({ length: H }, (_, h) => data[(h * T + s) * T + t]!)),
    );
    const total = most.reduce((sum, value) => sum + value, 0);
    return most.map((value) => value / total);
  };
  return { logits: [...(logits.data as Float32Array).slice(-logits.dims.at(-1)!)], row };
}

const logSoftmax = (values: readonly number[]) => {
  const largest = Math.max(...values);
  const total = largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return values.map((value) => value - total);
};
const order = (values: readonly number[]) =>
  [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
const mode = (values: readonly number[]) => {
  const count = (value: number) => values.filter((other) => other === value).length;
  return [...values].sort((a, b) => count(b) - count(a) || a - b)[0]!;
};

/** Without ends of text: the best of the open sequences, and where it went back. */
async function byHand(model: Model, spec: Spec, steps: number) {
  const prompt = single.prompt;
  const image = model.config.image_token_index as number;
  let open = [{ tokens: [] as number[], score: 0 }];
  const states: (typeof open)[] = [];
  const chosen: { beam: number; token: number }[][] = [];
  const rejected: Set<string>[] = [];
  const used: Record<number, number> = {};
  let history: number[][] = [];
  const rollbacks: { step: number; position: number }[] = [];
  let anew = false;
  for (let step = 0; step < steps; step++) {
    if (!anew) {
      states[step] = open;
      rejected[step] = new Set();
    }
    const scored: { beam: number; token: number; score: number }[] = [];
    if (anew && spec.semantics === 'code') {
      for (const [beam, { tokens, score }] of open.entries()) {
        const { logits } = await seen(model, [...prompt, ...tokens]);
        const floored = logits.map((logit, token) =>
          rejected[step]!.has(`${beam} ${token}`) ? -Infinity : logit,
        );
        logSoftmax(floored).forEach((value, token) => {
          scored.push({ beam, token, score: score + value });
        });
      }
    } else {
      const locations: number[][] = [];
      for (const [beam, { tokens, score }] of open.entries()) {
        const { logits } = await seen(model, [...prompt, ...tokens]);
        const count = step === 0 ? Math.max(spec.candidates, spec.beams) : spec.candidates;
        const candidates = order(logits)
          .filter((token) => !rejected[step]!.has(`${beam} ${token}`))
          .slice(0, count);
        const charged: number[] = [];
        locations[beam] = [];
        for (const token of candidates) {
          const whole = [...prompt, ...tokens, token];
          const { row } = await seen(model, whole);
          const R = tokens.length + 1;
          const rows = Array.from({ length: R }, (_, i) => row(prompt.length + i).slice(prompt.length));
          const products = Array.from({ length: R }, (_, j) => {
            let product = 1;
            for (let i = j; i < R; i++) product *= spec.sigma * rows[i]![j]!;
            return product;
          });
          const phi = Math.max(...products);
          locations[beam]!.push(products.indexOf(phi));
          const mass = row(whole.length - 1)
            .filter((_, t) => prompt[t] === image)
            .reduce((sum, value) => sum + value, 0);
          const penalty = R <= spec.shortResponse ? -mass : spec.factor * phi;
          charged.push(logits[token]! - spec.alpha * penalty);
        }
        logSoftmax(charged).forEach((value, c) => {
          scored.push({ beam, token: candidates[c]!, score: score + value });
        });
      }
      const perBeam = locations.map(mode);
      const target = mode(perBeam);
      const seenBefore = perBeam.map((now, beam) => [...(history[beam] ?? history[0] ?? []), now]);
      const counts = perBeam.map(
        (now, beam) => [...(history[beam] ?? []), now].filter((one) => one === target).length,
      );
      const enough = counts.every((count) =>
        spec.semantics === 'code' ? count > spec.threshold : count >= spec.threshold,
      );
      history = seenBefore;
      const position = [target + 1, target].find((one) => (used[one] ?? 0) < spec.rollbacks);
      if (enough && target >= spec.minLocation && position !== undefined && position <= step) {
        rollbacks.push({ step, position });
        used[position] = (used[position] ?? 0) + 1;
        for (const { beam, token } of chosen[position]!) rejected[position]!.add(`${beam} ${token}`);
        history = history.map((one) => one.slice(0, position + (spec.semantics === 'code' ? 1 : 0)));
        open = states[position]!;
        anew = true;
        step = position - 1;
        continue;
      }
    }
    anew = false;
    const best = scored.sort((a, b) => b.score - a.score || a.beam - b.beam).slice(0, spec.beams);
    chosen[step] = best;
    open = best.map(({ beam, token, score }) => ({ tokens: [...open[beam]!.tokens, token], score }));
  }
  const winner = open.reduce((most, one) => (one.score >= most.score ? one : most));
  return { tokens: winner.tokens, rollbacks };
}

const code = { shortResponse: 3, minLocation: 1, semantics: 'code' } as const;
const SPECS: [string, Spec][] = [
  [
    'the released code, charged',
    { ...code, beams: 3, candidates: 3, sigma: 12, alpha: 1, threshold: 50, rollbacks: 5, factor: 20 },
  ],
  [
    'the released code, going back',
    { ...code, beams: 2, candidates: 3, sigma: 12, alpha: 1, threshold: 1, rollbacks: 2, factor: 0.05 },
  ],
  [
    'the paper',
    {
      beams: 2,
      candidates: 4,
      sigma: 10,
      alpha: 0.5,
      threshold: 2,
      rollbacks: 1,
      factor: 1,
      shortResponse: 0,
      minLocation: 0,
      semantics: 'paper',
    },
  ],
  [
    'one candidate',
    { ...code, beams: 3, candidates: 1, sigma: 12, alpha: 1, threshold: 2, rollbacks: 3, factor: 0.05 },
  ],
];
const STEPS = 9;

describe.each(['llava', 'llava-gqa'])('%s', (name) => {
  let model: Model;
  beforeAll(async () => {
    const { folder } = loadFixture(name);
    model = (await from_pretrained(LlavaForConditionalGeneration as never, folder, {
      dtype: 'fp32',
    })) as Model;
  });
  afterAll(() => model.dispose());
  const options = { ...inputsOf(single.prompt), max_new_tokens: STEPS, eos_token_id: null };

  test.each(SPECS)('%s', async (_, spec) => {
    const wanted = await byHand(model, spec, STEPS);
    const intervention = opera(spec);
    const parsed = intervention.spec as Parameters<typeof operaGenerate>[0];
    const { output, trace } = await operaGenerate(parsed, model as unknown as SearchModel, options);
    expect(trace.rollbacks).toEqual(wanted.rollbacks);
    const found = ((output as Tensor).tolist() as bigint[][])[0]!.slice(single.prompt.length).map(Number);
    expect(found).toEqual(wanted.tokens);
    // One forward a step, of beams × candidates rows once there are beams.
    expect(Math.max(...trace.rows)).toBe(Math.max(spec.beams * spec.candidates, spec.beams));
    model.use([intervention]);
    const generated = await model.generate(options);
    expect(generated.tolist()).toEqual((output as Tensor).tolist());
    model.use([]);
  });

  test('some of these searches go back, and charges change what is written', async () => {
    const back = await byHand(model, SPECS[1]![1], STEPS);
    expect(back.rollbacks.length).toBeGreaterThan(0);
    const charged = await byHand(model, SPECS[0]![1], STEPS);
    const free = await byHand(model, { ...SPECS[0]![1], alpha: 0 }, STEPS);
    expect(charged.tokens).not.toEqual(free.tokens);
  });

  test('α = 0, no rollback and many candidates: beam search', async () => {
    model.use([beamSearch({ beams: 3 })]);
    const plain = await model.generate(options);
    const vocabulary = model.config.text_config.vocab_size as number;
    // ln p over all candidates is ln p over the vocabulary when all of it are candidates.
    model.use([opera({ beams: 3, candidates: vocabulary, alpha: 0, rollbacks: 0 })]);
    expect((await model.generate(options)).tolist()).toEqual(plain.tolist());
    model.use([]);
  });

  test('plausible candidates alone: fewer rows, and without charges and rollbacks the same text', async () => {
    const run = async (settings: object) => {
      const { spec } = opera({ beams: 3, candidates: 4, rollbacks: 0, ...settings });
      const parsed = spec as Parameters<typeof operaGenerate>[0];
      const { output, trace } = await operaGenerate(parsed, model as unknown as SearchModel, options);
      return { text: (output as Tensor).tolist(), rows: trace.rows };
    };
    const all = await run({ alpha: 0 });
    const few = await run({ alpha: 0, plausibility: 1 });
    expect(few.text).toEqual(all.text);
    const later = few.rows.slice(1);
    expect(Math.min(...later)).toBeGreaterThanOrEqual(3);
    expect(Math.max(...later)).toBeLessThan(12);
    expect(all.rows.slice(1).every((rows) => rows === 12)).toBe(true);
  });

  test('after a search the model is what it was', async () => {
    const before = (await model(inputsOf(single.prompt))).logits.data;
    model.use([opera({ beams: 2, candidates: 2 })]);
    await model.generate({ ...options, max_new_tokens: 3 });
    model.use([]);
    expect((await model(inputsOf(single.prompt))).logits.data).toEqual(before);
  });
});
