// Type-checked only, as a user's file would be: no casts, under every module resolution.
import { AutoModelForCausalLM, AutoTokenizer } from '@huggingface/transformers';
import { act, attune, isAttuneError, pine, zeroTuning } from 'attune';
import { defineTask, evaluate } from 'attune/eval';
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

export async function helps(model: string): Promise<boolean> {
  const moods = defineTask({
    name: 'moods',
    output: 'multiple_choice',
    source: { file: 'moods.jsonl' },
    fields: { text: 'string', mood: 'string' },
    prompt: '{{ text }}. Mood:',
    choices: ['sad', 'happy'],
    target: "{{ 1 if mood == 'happy' else 0 }}",
    metrics: ['acc'],
  });
  const { report } = await evaluate({
    model,
    tasks: [moods, 'copa'],
    interventions: [
      zeroTuning({ gamma: 2 }),
      [act({ heads: 'all' }), { intervention: 'head-scale', scale: 2 }],
    ],
  });
  return report.runs.some(({ delta }) => (delta.acc?.low ?? 0) > 0);
}
// @ts-expect-error a misspelt option
export const misspeltToo = () => evaluate({ model: 'x', tasks: 'copa', intervention: [] });

// @ts-expect-error a misspelt option
export const misspelt = () => attune(AutoModelForCausalLM, 'x', { intervention: [] });
// @ts-expect-error a dtype that does not exist
export const noSuchType = () => attune(AutoModelForCausalLM, 'x', { dtype: 'int4' });
// @ts-expect-error one intervention where a list is taken
export const noList = () => attune(AutoModelForCausalLM, 'x', { interventions: zeroTuning({ gamma: 2 }) });
