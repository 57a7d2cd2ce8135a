/**
 * JavaScript functions at hook points, exactly, with ONNX Runtime as it is. Each hooked point gets a tap and an
 * override: `Where(active, override, value)`. A run with n writing points takes up to n + 1 passes over the same
 * feeds: pass j carries the overrides of points 0..j-1 and so delivers the true value of point j. Points are visited
 * in execution order, and a pass is saved whenever functions only read. The KV cache that leaves is the last pass's.
 *
 * Cost: (number of points at which a function wrote + 1) × the plain run. For large sweeps use interventions.
 */

import { AttuneError } from '../../errors.ts';
import { DataType } from '../../onnx/index.ts';
import { type HookPoint, POINT_AXES, selectNames } from '../../sites/points/index.ts';
import type { Edit, Knob, KnobValue } from '../compile/index.ts';
import type { Feeds, OrtTensor } from '../session/index.ts';
import { type Activation, activation } from './activation.ts';
import type { ModelFacts } from './facts.ts';
import { kindOf } from './kind-of.ts';
import type { Overlay, OverlayPass } from './live-graph.ts';

/** Sees a value; returns replacement data of the same shape (Float32Array), or undefined to leave it. */
export type HookFunction = (value: Activation) => unknown;

/** Functions at hook points as an overlay of the runs they are for. */
export function hooksOverlay(
  facts: ModelFacts,
  hooks: readonly (readonly [filter: string | readonly string[], hook: HookFunction])[],
): Overlay {
  const functions = new Map<string, HookFunction[]>();
  for (const [filter, hook] of hooks) {
    for (const name of selectNames(filter, hookNames(facts.points)))
      functions.set(name, [...(functions.get(name) ?? []), hook]);
  }
  const points = facts.points.filter(({ name }) => functions.has(name));
  const writable = points.filter(({ source }) => source.from !== 'beside');
  return {
    key: `hooks ${points.map(({ name }) => name).join()}`,
    taps: points,
    knobs: writable.flatMap(overrideKnobs),
    edits: writable.map(overrideEdit),
    listeners: new Set(),
    runner: (feeds, pass) => passes(facts, points, functions, feeds, pass),
  };
}

/**
 * Hook points to be listened to, as an overlay.
 * @throws AttuneError HOOK_UNKNOWN with the nearest names
 */
export function tapsOverlay({ points }: ModelFacts, filter: string | readonly string[]): Overlay {
  const names = new Set(selectNames(filter, hookNames(points)));
  const taps = points.filter(({ name }) => names.has(name));
  return { key: `taps ${[...names].join()}`, taps, listeners: new Set() };
}

/** Names of the hook points that can be read. */
export const hookNames = (points: readonly HookPoint[]): string[] =>
  points.filter(({ source }) => source.from !== 'nowhere').map(({ name }) => name);

const flagName = (point: HookPoint) => `attune.hook.${point.name}.active`;
const valueName = (point: HookPoint) => `attune.hook.${point.name}.value`;

function overrideKnobs(point: HookPoint): Knob[] {
  const axes = [...POINT_AXES[point.kind]];
  const ones = axes.map(() => 1);
  return [
    {
      name: flagName(point),
      elemType: DataType.BOOL,
      shape: [],
      neutral: { dims: [], data: Uint8Array.of(0) },
    },
    {
      name: valueName(point),
      elemType: DataType.FLOAT,
      shape: axes.map((axis) => `${valueName(point)}:${axis}`),
      neutral: { dims: ones, data: new Float32Array(1) },
    },
  ];
}

function overrideEdit(point: HookPoint): Edit {
  return {
    kind: 'write',
    point,
    build: ({ emit }, value) => {
      const half = point.site?.elemType === DataType.FLOAT16;
      const override = half ? emit.cast(valueName(point), DataType.FLOAT16) : valueName(point);
      return emit.op('Where', [flagName(point), override, value], 'override');
    },
  };
}

async function passes(
  facts: ModelFacts,
  points: readonly HookPoint[],
  functions: ReadonlyMap<string, readonly HookFunction[]>,
  feeds: Feeds,
  pass: OverlayPass,
): Promise<Record<string, OrtTensor>> {
  let taps: ReadonlyMap<string, OrtTensor> = new Map();
  const overrides: Record<string, KnobValue> = {};
  const run = () =>
    pass(feeds, { ...overrides }, (values) => {
      taps = values;
    });
  let results = await run();
  for (const point of points) {
    const value = activation(point.name, taps.get(point.name)!, facts);
    let data = value.data;
    let wrote = false;
    for (const hook of functions.get(point.name)!) {
      const replacement = await hook({ ...value, data });
      if (replacement === undefined) continue;
      data = checked(point, value, replacement);
      wrote = true;
    }
    if (!wrote) continue;
    if (point.source.from === 'beside') throw readOnly(point);
    overrides[flagName(point)] = { dims: [], data: Uint8Array.of(1) };
    overrides[valueName(point)] = { dims: value.dims, data };
    results = await run();
  }
  return results;
}

function checked(point: HookPoint, value: Activation, replacement: unknown): Float32Array {
  if (replacement instanceof Float32Array && replacement.length === value.data.length) return replacement;
  throw new AttuneError('HOOK_SHAPE', {
    at: point.name,
    found: replacement instanceof Float32Array ? `${replacement.length} numbers` : kindOf(replacement),
    expected: `a Float32Array of ${value.data.length} for [${value.dims.join(', ')}], or undefined`,
    hint: 'Return as many numbers as data has, such as data.map((x) => 2 * x), or Float32Array.from(list).',
  });
}

function readOnly(point: HookPoint): AttuneError {
  return new AttuneError('POINT_READ_ONLY', {
    at: point.name,
    found: `${point.site?.form}, which computes this point inside one operator`,
    hint: 'Write at hook_z or at a residual point, or use an unfused export.',
  });
}
