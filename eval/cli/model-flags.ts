/** The flags that say which of a model's files is loaded and where it runs, the same in every command that loads one. */
import { AttuneError } from '../../errors.ts';
import { RUNTIME_NAMES, type RuntimeName } from '../../hooks/session/index.ts';
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
  runtime: {
    type: 'string',
    value: '<name>',
    description: `${RUNTIME_NAMES.join(', ')}; default native where its addon was built, else onnxruntime`,
  },
} as const satisfies Record<string, Flag>;

/** How prompts are put to the model, in the commands that score. */
export const CHAT_FLAGS = {
  chat: {
    type: 'boolean',
    description: "prompts as chats by the model's template, examples as turns; default: as plain text",
  },
  system: {
    type: 'string',
    value: '<text>',
    description: 'with --chat: the system turn; default: what the template writes by itself',
  },
} as const satisfies Record<string, Flag>;

/** @throws AttuneError ARGUMENT_INVALID for a system turn outside a chat */
export function chatOf(args: Arguments): Pick<ModelOptions, 'chat'> {
  const system = args.text('system');
  if (args.flag('chat')) return { chat: system === undefined ? {} : { system } };
  if (system === undefined) return {};
  throw new AttuneError('ARGUMENT_INVALID', {
    found: '--system without --chat',
    expected: '--chat, whose first turn it is',
  });
}

/** @throws AttuneError ARGUMENT_INVALID for a runtime that is none */
export function modelOptionsOf(args: Arguments): ModelOptions {
  const modelFile = args.text('model-file')?.replace(/\.onnx$/, '');
  return {
    dtype: args.text('dtype'),
    device: args.text('device'),
    ...runtimeOf(args),
    ...(modelFile !== undefined && { modelFile }),
  };
}

export function runtimeOf(args: Arguments): { runtime?: RuntimeName } {
  const runtime = args.text('runtime');
  if (runtime === undefined) return {};
  if ((RUNTIME_NAMES as readonly string[]).includes(runtime)) return { runtime: runtime as RuntimeName };
  throw new AttuneError('ARGUMENT_INVALID', {
    found: `--runtime ${runtime}`,
    expected: RUNTIME_NAMES.join(', '),
  });
}
