/** What the lowerings ask of the edits of a site together: their order, knobs and states as inputs of a graph. */
import { AttuneError } from '../../errors.ts';
import { DataType } from '../../onnx/index.ts';
import type { Axis, Edit, EditKnob } from '../edits/edit.ts';
import { placeOf } from '../edits/index.ts';
import { floatKnob, int64Knob, type Knob, type State } from './lowered.ts';

/** Softmax over one axis, axes of reductions as inputs: what the emitted nodes count on. */
const OLDEST_OPSET = 13;

/**
 * @throws AttuneError EDIT_TWICE for two edits of one kind at a site, OPSET_TOO_OLD
 */
export function checkEdits(
  site: { readonly name: string; readonly opset: number },
  edits: readonly Edit[],
): void {
  const kinds = edits.map(({ row }) => row.kind);
  const twice = kinds.find((kind, i) => kinds.indexOf(kind) < i);
  if (twice) {
    throw new AttuneError('EDIT_TWICE', {
      at: site.name,
      found: `two edits '${twice}'`,
      expected: 'one of a kind',
      hint: 'Combine their parameters: biases add, factors multiply.',
    });
  }
  if (site.opset < OLDEST_OPSET) {
    throw new AttuneError('OPSET_TOO_OLD', {
      at: site.name,
      found: `ai.onnx operator set ${site.opset}`,
      expected: `${OLDEST_OPSET} or later`,
      hint: 'Convert the model with onnx.version_converter.',
    });
  }
}

/** As they act one after another. */
export function inOrder(edits: readonly Edit[]): Edit[] {
  return [...edits].sort((a, b) => placeOf(a) - placeOf(b));
}

/** The knobs of an edit at a site of H heads; names start with `prefix`. */
export function knobsOf({ row, options }: Edit, prefix: string, H: number): Knob[] {
  return row.knobs(options).map(({ name, axes, neutral, type, doc }: EditKnob) => {
    // Names of axes that may be 1: whoever feeds them decides.
    const shape = axes.map((axis) => (axis === 'H' ? H : axis.replace('|1', '')));
    const dims = axes.map((axis) => sizeOf(axis, H));
    const values = new Array<number>(dims.reduce((size, dim) => size * dim, 1)).fill(neutral);
    const make = type === 'int64' ? int64Knob : floatKnob;
    return make(`${prefix}.${name}`, shape, values, dims, doc);
  });
}

/** Of a knob's neutral value. */
function sizeOf(axis: Axis, H: number): number {
  if (axis === 'H') return H;
  return axis === 'k+1' ? 2 : 1;
}

/** State an edit keeps from call to call. */
export function statesOf({ row, options }: Edit, prefix: string, H: number): State[] {
  return (row.states?.(options) ?? []).map(({ name, heads }) => ({
    input: `${prefix}.past_${name}`,
    output: `${prefix}.present_${name}`,
    elemType: DataType.FLOAT,
    shape: ['B', heads === 'H' ? H : heads, 'P'],
  }));
}
