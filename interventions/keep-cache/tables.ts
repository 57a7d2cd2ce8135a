/** The model's own angles, read from its graph in the first call: cosines and sines of a few positions, layer by layer. */
import type { Edit, Emit, Knob, KnobValue } from '../../hooks/compile/index.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import type { OrtTensor } from '../../hooks/session/index.ts';
import { DataType } from '../../onnx/index.ts';
import type { CacheLayout } from './layout.ts';
import { anglesOf, Turns } from './turns.ts';

const WANTED = 'attune.keep_cache.tables';
export const TABLES = 'attune.keep_cache.rotary';

/** Positions that are read: angles are exact to a part in 64 of what one says. */
const ROWS = 65;

const wanted = (value: number): KnobValue => ({ dims: [1], data: Uint8Array.of(value) });

export const ASK: Readonly<Record<string, KnobValue>> = { [WANTED]: wanted(1) };

export const tablesKnob: Knob = { name: WANTED, elemType: DataType.BOOL, shape: [1], neutral: wanted(0) };

/** Reports cosines and sines, [L, 2, positions, pairs]; one number where they are not wanted. */
export function tablesEdit({ layers }: CacheLayout): Edit {
  return {
    kind: 'after',
    build: ({ emit, rotary, report }) => {
      const count = emit.ints(ROWS);
      const each = layers.map(({ site }) => rotary(site, { count, needed: WANTED }));
      const [tables] = emit.either(
        WANTED,
        (inner) => [[stacked(inner, each, count), DataType.FLOAT]],
        (inner) => [[inner.reshape(inner.scalar(0), [1, 1, 1, 1]), DataType.FLOAT]],
      );
      report(TABLES, tables!, 4);
    },
  };
}

function stacked(emit: Emit, tables: readonly { cos: string; sin: string }[], count: string): string {
  const layers = tables.map(({ cos, sin }) => {
    const rows = [cos, sin].map((table) =>
      emit.op('Unsqueeze', [emit.slice(table, 0, emit.ints(0), count), emit.ints(0)], 'rows'),
    );
    const pair = emit.op('Concat', rows, 'pair', { axis: 0 });
    return emit.op('Unsqueeze', [pair, emit.ints(0)], 'layer');
  });
  return emit.op('Concat', layers, 'tables', { axis: 0 });
}

const known = new WeakMap<ModelFacts, readonly Turns[]>();

/** By layer; undefined until they were read. */
export const turnsOf = (model: ModelFacts): readonly Turns[] | undefined => known.get(model);

export function learnTurns(model: ModelFacts, { layers }: CacheLayout, tables: OrtTensor): void {
  const [, , rows, pairs] = tables.dims as [number, number, number, number];
  const data = tables.data as Float32Array;
  const part = (layer: number, which: number) => {
    const at = (layer * 2 + which) * rows * pairs;
    return data.subarray(at, at + rows * pairs);
  };
  const turns = layers.map(({ site }, layer) => {
    return new Turns(anglesOf(part(layer, 0), part(layer, 1), pairs), site.rotary!.interleaved);
  });
  known.set(model, turns);
}
