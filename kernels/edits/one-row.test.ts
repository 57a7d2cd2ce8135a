/** Forms of one decoded row give what the equation of the edit says of a call of one row, states included. */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { emitter, opsetsFor } from '../../onnx/emitter.ts';
import { DataType, makeGraph, makeValueInfo } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import { at, build, maxAbsError, type Tensor, tensor } from '../reference/index.ts';
import type { EditContext } from '../site/context.ts';
import { asTensor, feed } from '../verify/feeds.ts';
import { createRunner } from '../verify/runner.ts';
import type { Edit, Solved, Solving, Values } from './edit.ts';
import { sinkCalibration } from './sink-calibration/index.ts';
import { sinkRedistribution } from './sink-redistribution/index.ts';

const cpu = await createRunner('cpu');
afterAll(() => cpu[Symbol.asyncDispose]());

const OPSET = 21;

/** A decoded row: probabilities of T keys, of which the first `pads` of each batch row are padding. */
interface Row {
  readonly map: Tensor; // (B, H, 1, T)
  readonly mask: Tensor; // (B, T)
  readonly first: Tensor; // (B)
  readonly uniform: () => number;
}

const rows = fc
  .record({
    B: fc.integer({ min: 1, max: 3 }),
    H: fc.constantFrom(1, 4),
    T: fc.integer({ min: 3, max: 40 }),
    seed: fc.nat(),
  })
  .map(({ B, H, T, seed }): Row => {
    let state = seed;
    const uniform = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const first = build([B], () => Math.floor(uniform() * Math.min(3, T - 1)));
    const mask = build([B, T], (b, t) => Number(t! >= first.data[b!]!));
    const raw = build([B, H, 1, T], (b, _h, _s, t) => at(mask, b!, t!) * Math.fround(uniform() ** 4));
    const sum = (b: number, h: number) =>
      [...Array(T).keys()].reduce((total, t) => total + at(raw, b, h, 0, t), 0);
    return {
      map: build(raw.shape, (b, h, s, t) => at(raw, b!, h!, s!, t!) / sum(b!, h!)),
      mask,
      first,
      uniform,
    };
  });

/** What the equation says. @param values of knobs, and of states as past_… */
function solved(
  { options, row }: Edit,
  { map, mask }: Row,
  values: Readonly<Record<string, Tensor>>,
): Solved {
  const [B, , , T] = map.shape as [number, number, number, number];
  const call: Solving = {
    q: map,
    k: map,
    v: map,
    mask: { keys: mask },
    visible: tensor([B, 1, T], mask.data),
    past: T - 1,
    raw: map,
    before: map,
    value: (name) => values[name]!,
    state: (name) => values[`past_${name}`],
  };
  return row.solve(options, call, map);
}

/** What the graph says. @param values inputs of the graph by local name, int64 where they are `integers` */
async function ran(
  { options, row }: Edit,
  { map, mask }: Row,
  values: Readonly<Record<string, Tensor>>,
): Promise<{ pattern: Tensor; states: Record<string, Tensor> }> {
  const [B, H, , T] = map.shape as [number, number, number, number];
  const emit = emitter(OPSET, 'row.');
  const made = new Map<string, string | readonly string[]>();
  const context = {
    emit,
    attentionMask: 'mask',
    tokens: 'tokens',
    once: <V extends string | readonly string[]>(key: string, make: () => V): V => {
      if (!made.has(key)) made.set(key, make());
      return made.get(key) as V;
    },
  } as EditContext;
  const names: Values = Object.fromEntries(Object.keys(values).map((name) => [name, name]));
  const site = { fused: true, numHeads: H, window: undefined } as Site;
  const [S, keys] = [emit.dim('tokens', 1), emit.dim('mask', 1)];
  const form = row.row!(options, { context, site, values: names, S, T: keys })!;
  const edited = form.edit(emit, 'map', names);
  emit.as('applies', 'Cast', [form.applies], { to: DataType.FLOAT });
  const feeds = {
    map: feed(tensor([B, H, T], map.data)),
    mask: feed(mask, DataType.INT64),
    tokens: feed(
      build([B, 1], () => 1),
      DataType.INT64,
    ),
    ...Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        feed(value, name === 'first' ? DataType.INT64 : DataType.FLOAT),
      ]),
    ),
  };
  const outputs = ['applies', edited.pattern, ...Object.values(edited.states)];
  const graph = makeGraph('row', {
    nodes: emit.nodes,
    inputs: Object.entries(feeds).map(([name, { elemType, dims }]) =>
      makeValueInfo(
        name,
        elemType,
        dims.map((_, axis) => `${name}_${axis}`),
      ),
    ),
    outputs: outputs.map((name) => makeValueInfo(name, DataType.FLOAT)),
    initializers: [],
  });
  const model = { graph, functions: [...emit.functions.values()], opsets: opsetsFor(OPSET) };
  const results = await cpu.run(model, feeds);
  expect(Number(results.applies!.data[0])).toBe(1);
  const states = Object.entries(edited.states).map(([name, value]) => [name, asTensor(results[value]!)]);
  return { pattern: asTensor(results[edited.pattern]!), states: Object.fromEntries(states) };
}

const flat = ({ shape: [B, H, , T], data }: Tensor) => tensor([B!, H!, T!], data);

test.each(['running', 'row'] as const)('sinks found from %s statistics', async (stats) => {
  const edit = sinkCalibration.with({ stats, exclude: 'initial' });
  let sinksSeen = 0;
  await fc.assert(
    fc.asyncProperty(rows, async (row) => {
      const [B, H, , T] = row.map.shape as [number, number, number, number];
      const knobs = {
        beta: build([1, H], () => row.uniform()),
        tau: tensor([1, 1], [0]),
        alpha: tensor([1, 1], [1.5]),
        first: row.first,
      };
      // Real rows before this one that see a real key: those from its own on.
      const count = build([B, 1, T - 1], (b, _, t) => at(row.mask, b!, t!) * (T - 1 - t!));
      const sum = build([B, H, T - 1], (b, _h, t) => at(count, b!, 0, t!) * Math.fround(row.uniform() / 4));
      const states: Record<string, Tensor> =
        stats === 'running' ? { past_column_sum: sum, past_column_count: count } : {};
      const expected = solved(edit, row, { ...knobs, ...states });
      for (const alpha of [1.499, 1.501]) {
        const near = solved(edit, row, { ...knobs, ...states, alpha: tensor([1, 1], [alpha]) });
        fc.pre(maxAbsError(near.found!.sinks!, expected.found!.sinks!) === 0);
      }
      const actual = await ran(edit, row, { ...knobs, ...states });
      expect(maxAbsError(actual.pattern, flat(expected.value))).toBeLessThan(1e-5);
      if (stats === 'running') {
        expect(maxAbsError(actual.states.column_sum!, expected.states!.column_sum!)).toBeLessThan(1e-5);
      }
      sinksSeen += expected.found!.sinks!.data.filter(Boolean).length;
    }),
    { numRuns: 25 },
  );
  expect(sinksSeen).toBeGreaterThan(25);
});

test('sinks kept from the first call; the new key is none', async () => {
  const edit = sinkCalibration.with({ stats: 'frozen', exclude: 'initial' });
  await fc.assert(
    fc.asyncProperty(rows, async (row) => {
      const [B, H, , T] = row.map.shape as [number, number, number, number];
      const beta = build([1, H], () => row.uniform());
      const past = build([B, H, T - 1], () => Number(row.uniform() < 0.3));
      const sinks = build([B, H, T], (b, h, t) => (t! < T - 1 ? at(past, b!, h!, t!) : 0));
      const actual = await ran(edit, row, { beta, past_sinks: past });
      expect(maxAbsError(actual.pattern, flat(solved(edit, row, { beta, sinks }).value))).toBeLessThan(1e-5);
      expect(maxAbsError(actual.states.sinks!, sinks)).toBe(0);
    }),
    { numRuns: 25 },
  );
});

test('redistribution in a row of text', async () => {
  const edit = sinkRedistribution.with({ semantics: 'paper', rows: 'text' });
  let changed = 0;
  await fc.assert(
    fc.asyncProperty(rows, async (row) => {
      const [B, , , T] = row.map.shape as [number, number, number, number];
      const text = (t: number) => t === T - 1;
      const visual = build([B, T], (_, t) => Number(!text(t!) && row.uniform() < 0.5));
      const sink = build([B, T], (_, t) => Number(!text(t!) && row.uniform() < 0.3));
      const groups = build([B, 3, T], (b, g, t) => {
        const [v, s] = [at(visual, b!, t!), at(sink, b!, t!)];
        return [v * (1 - s), s, v][g!]!;
      });
      const knobs = {
        p: tensor([1, 1], [0.6]),
        rho: tensor([1, 1], [row.uniform() < 0.5 ? 0 : 1.5]),
        min_visual: tensor([1, 1], [0]),
      };
      const expected = solved(edit, row, { ...knobs, visual, sink });
      const actual = await ran(edit, row, { ...knobs, visual, groups });
      expect(maxAbsError(actual.pattern, flat(expected.value))).toBeLessThan(1e-5);
      changed += Number(maxAbsError(expected.value, row.map) > 0);
    }),
    { numRuns: 40 },
  );
  expect(changed).toBeGreaterThan(3);
});
