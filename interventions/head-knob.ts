/**
 * The knob that interventions on heads share: one number per setting, layer and head. Settings are the batch axis:
 * one for all rows of a batch, or one for each row, so that a sweep runs many settings at once (each-row.ts).
 */
import { AttuneError } from '../errors.ts';
import type { EditContext, Knob, KnobValue } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';

/**
 * float32 [settings, layers, heads]; heads may be 1 for all heads of a layer alike.
 * @throws AttuneError INTERVENTION_REFUSED when layers differ in their number of heads
 */
export function headKnob(name: string, { decoder }: ModelFacts, neutral: number): Knob {
  const heads = new Set(decoder.map(({ numHeads }) => numHeads));
  if (heads.size > 1) {
    throw new AttuneError('INTERVENTION_REFUSED', {
      at: name,
      found: `layers with ${[...heads].join(' and ')} heads`,
      expected: 'one number of heads in all layers',
    });
  }
  const layers = decoder.length;
  return {
    name,
    elemType: 1,
    shape: [`${name}:settings`, layers, `${name}:heads`],
    neutral: { dims: [1, layers, 1], data: new Float32Array(layers).fill(neutral) },
  };
}

/** One setting, table[layer][head]. Where heads are alike one number per layer goes in, which broadcasts cheaper. */
export function headValues(table: readonly (readonly number[])[]): KnobValue {
  const uniform = table.every((row) => row.every((value) => value === row[0]));
  const rows = uniform ? table.map((row) => row.slice(0, 1)) : table;
  return { dims: [1, rows.length, rows[0]!.length], data: Float32Array.from(rows.flat()) };
}

/** [settings, heads | 1]: the knob's numbers for one layer. */
export function layerValues({ emit }: EditContext, knob: string, layer: number): string {
  return emit.op('Gather', [knob, emit.int(layer)], 'layer_values', { axis: 1 });
}
