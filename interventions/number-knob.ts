/** A knob of one number for a whole model. Settings are the batch axis, as in head-knob.ts. */
import type { Knob, KnobValue } from '../hooks/compile/index.ts';
import { DataType } from '../onnx/index.ts';

/**
 * float32 [settings, 1].
 * @param neutral the number under which the model is untouched
 * @example knobs: [numberKnob('attune.act.tau', 0)]
 */
export function numberKnob(name: string, neutral: number): Knob {
  return { name, elemType: DataType.FLOAT, shape: [`${name}:settings`, 1], neutral: numberValue(neutral) };
}

/**
 * A value for numberKnob.
 *
 * @example knobs: ({ tau }) => ({ 'attune.act.tau': numberValue(tau) })
 */
export function numberValue(value: number): KnobValue {
  return { dims: [1, 1], data: Float32Array.of(value) };
}
