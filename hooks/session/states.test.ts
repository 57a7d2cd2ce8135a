/** States go with the cache they were made with. */
import { expect, test } from 'vitest';
import { loadRuntime, type OrtTensor } from './runtime.ts';
import { type Settings, StateStore } from './states.ts';

const runtime = await loadRuntime('node');
const float = (...dims: number[]) =>
  new runtime.Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);

const states = [{ input: 'past_sum', output: 'present_sum', elemType: 1, shape: ['B', 3, 'P'] }];
const graph = { states, knobs: [] };
const one = { name: 'one', ownCache: false };
const two = { name: 'two', ownCache: false };
const ids = (B: number) => float(B, 1);
const cache = (T: number) => float(2, 1, T, 4);
const past = (tensor: OrtTensor) => ({ input_ids: ids(2), 'past_key_values.0.key': tensor });

/** A call that returns `present` under 'one', with `sum` as its state. */
function after(store: StateStore, present: OrtTensor, sum: OrtTensor): void {
  store.after({ 'present.0.key': present }, { present_sum: sum }, graph, one, {});
}

test('a sequence starts with empty states, one row per row of the batch', () => {
  const store = new StateStore();
  for (const feeds of [{ input_ids: ids(2) }, past(cache(0))]) {
    expect(store.before(feeds, graph, one, runtime).past_sum!.dims).toEqual([2, 3, 0]);
  }
});

test('two sequences may alternate, and a call may be repeated', () => {
  const store = new StateStore();
  const [a, b] = [cache(5), cache(5)];
  const [sumA, sumB] = [float(2, 3, 5), float(2, 3, 5)];
  after(store, a, sumA);
  after(store, b, sumB);
  for (const [tensor, sum] of [
    [a, sumA],
    [b, sumB],
    [a, sumA],
  ] as const) {
    expect(store.before(past(tensor), graph, one, runtime).past_sum).toBe(sum);
  }
});

test('a cache of other settings, of another graph, or of nobody is refused', () => {
  const store = new StateStore();
  const own = cache(5);
  after(store, own, float(2, 3, 5));
  const before = (tensor: OrtTensor, settings: Settings, wanted = states) =>
    store.before(past(tensor), { states: wanted, knobs: [] }, settings, runtime);
  expect(() => before(own, two)).toThrow(/STATE_MISMATCH.*under one.*under two/);
  expect(() => before(cache(5), one)).toThrow(/STATE_MISMATCH.*unknown origin/);
  const more = [...states, { input: 'past_more', output: 'present_more', elemType: 1, shape: ['B', 1, 'P'] }];
  expect(() => before(own, one, more)).toThrow('STATE_MISMATCH');
});

test('nobody relying on states, any cache will do, with empty ones', () => {
  const store = new StateStore();
  const own = cache(5);
  after(store, own, float(2, 3, 5));
  for (const tensor of [own, cache(7)]) {
    expect(store.before(past(tensor), graph, undefined, runtime).past_sum!.dims).toEqual([2, 3, 0]);
  }
});

test('a cache of other keys than the untouched model makes is continued by nobody else', () => {
  const store = new StateStore();
  const own = cache(5);
  const settings = { name: 'documents', ownCache: true };
  store.after({ 'present.0.key': own }, { present_sum: float(2, 3, 5) }, graph, settings, {});
  expect(() => store.before(past(own), graph, undefined, runtime)).toThrow(/STATE_MISMATCH.*documents/);
  expect(store.before(past(own), graph, settings, runtime).past_sum!.dims).toEqual([2, 3, 5]);
});

test('what is kept is asked for once and given to all later calls, knobs included', () => {
  const store = new StateStore();
  const kept = {
    states: [{ ...states[0]!, kept: true }],
    knobs: [
      {
        name: 'spans',
        elemType: 1,
        shape: [2],
        neutral: { dims: [2], data: Float32Array.of(0, 0) },
        kept: true,
      },
    ],
  };
  const [sum, spans] = [float(2, 3, 5), float(2)];
  const start = store.before({ input_ids: ids(2) }, kept, one, runtime);
  expect(start.spans).toBeUndefined();
  expect(store.wanted(kept, one, start)).toEqual(['present_sum']);
  expect(store.wanted(kept, undefined, start)).toEqual([]);
  const [first, second] = [cache(5), cache(6)];
  store.after({ 'present.0.key': first }, { present_sum: sum }, kept, one, { ...start, spans });
  const next = store.before(past(first), kept, one, runtime);
  expect(next).toMatchObject({ past_sum: sum, spans });
  expect(store.wanted(kept, one, next)).toEqual([]);
  store.after({ 'present.0.key': second }, {}, kept, one, next);
  expect(store.before(past(second), kept, one, runtime)).toMatchObject({ past_sum: sum, spans });
});
