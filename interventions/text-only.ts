/** A prompt as a model is called with it, without its pictures: what a contrast with the text alone runs. */
import type { ContrastContext, ModelInputs, ModelTensor } from '../hooks/model/index.ts';
import { keptTokens, withRows } from './second-prompt.ts';

/** The prompt without image tokens, rows padded on the left; undefined where there are none. */
export function textOnly(inputs: ModelInputs, context: ContrastContext): ModelInputs | undefined {
  const ids = inputs.input_ids as ModelTensor | undefined;
  const { imageToken } = context;
  if (!ids || imageToken === undefined) return undefined;
  if (!(ids.data as BigInt64Array).includes(BigInt(imageToken))) return undefined;
  return withRows(inputs, keptTokens(inputs, (id) => id !== imageToken)!, context);
}
