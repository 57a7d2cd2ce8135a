/** The flags that say which of a model's files is loaded and where it runs, the same in every command that loads one. */
import type { ModelOptions } from '../models/load.ts';
import type { Arguments, Flag } from './arguments.ts';

export const MODEL_FLAGS = {
  dtype: {
    type: 'string',
    value: '<type>',
    description: 'number type of the weights: fp32 (default), fp16, q8, q4, …',
  },
  'model-file': {
    type: 'string',
    value: '<name>',
    description: 'which graph in onnx/, without the ending for the number type; default model',
  },
  device: { type: 'string', value: '<name>', description: 'cpu (default), webgpu, …' },
} as const satisfies Record<string, Flag>;

export function modelOptionsOf(args: Arguments): ModelOptions {
  const modelFile = args.text('model-file')?.replace(/\.onnx$/, '');
  return {
    dtype: args.text('dtype'),
    device: args.text('device'),
    ...(modelFile !== undefined && { modelFile }),
  };
}
