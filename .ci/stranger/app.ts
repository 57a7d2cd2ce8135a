// Type-checked only, as a user's file would be: no casts, under every module resolution.
import { AutoModelForCausalLM, AutoTokenizer } from '@huggingface/transformers';
import { act, attune, isAttuneError, pine, zeroTuning } from 'attune';
import { openModel } from 'attune/onnx';

export async function main(id: string): Promise<string | undefined> {
  const tokenizer = await AutoTokenizer.from_pretrained(id);
  const model = await attune(AutoModelForCausalLM, id, {
    dtype: 'q4',
    interventions: [zeroTuning({ gamma: 1.4 }), { intervention: 'act', heads: [[0, 1]] }],
    prepare: [pine.kind],
  });
  try {
    const inputs = tokenizer('The capital of France is');
    await model.generate({ ...inputs, max_new_tokens: 8 });
    model.use([act({ heads: [[0, 1]] })]);
    const { cache } = await model.runWithCache(inputs, 'blocks.*.attn.hook_pattern');
    const file = await openModel('onnx/model.onnx');
    file.close();
    return [...cache.keys()][0];
  } catch (error) {
    return isAttuneError(error) ? error.code : undefined;
  } finally {
    await model.dispose();
  }
}

// @ts-expect-error a misspelt option
export const misspelt = () => attune(AutoModelForCausalLM, 'x', { intervention: [] });
// @ts-expect-error a dtype that does not exist
export const noSuchType = () => attune(AutoModelForCausalLM, 'x', { dtype: 'int4' });
// @ts-expect-error one intervention where a list is taken
export const noList = () => attune(AutoModelForCausalLM, 'x', { interventions: zeroTuning({ gamma: 2 }) });
