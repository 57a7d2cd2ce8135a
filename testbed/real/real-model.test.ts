/**
 * SmolLM2-135M-Instruct from its GGUF file, where `npm run testbed:real` has made it: its tokenizer, its chat template, and
 * whether it answers. The 4-bit model, whose weights are quantised twice, is another model where answers are longer.
 */
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  type PreTrainedModel,
  type Tensor,
} from '@huggingface/transformers';
import { expect, test } from 'vitest';
import { REAL_ABSENT, realFolder } from './folder.ts';

const QUESTION = 'What is the capital of Germany?';

if (realFolder('gqa') && realFolder('gqa', 'model_q4.onnx')) suite(realFolder('gqa')!);
else {
  test('the real model', () => {
    console.log(REAL_ABSENT);
  });
}

async function written(model: PreTrainedModel, inputs: object, count: number): Promise<number[]> {
  const output = (await model.generate({
    ...inputs,
    max_new_tokens: count,
    do_sample: false,
  } as Parameters<PreTrainedModel['generate']>[0])) as Tensor;
  const { length } = (inputs as { input_ids: Tensor }).input_ids.data;
  return (output.tolist() as bigint[][])[0]!.slice(length).map(Number);
}

function suite(folder: string): void {
  test('the tokenizer cuts digits apart, and markers of a chat are one token each', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained(folder);
    expect(tokenizer.tokenize("Hello world, 1234 things! Don't\n\n  x")).toEqual([
      'Hello',
      'Ġworld',
      ',',
      'Ġ',
      '1',
      '2',
      '3',
      '4',
      'Ġthings',
      '!',
      'ĠDon',
      "'t",
      'ĊĊĠ',
      'Ġx',
    ]);
    expect(tokenizer.encode('<|im_start|>user\nHi<|im_end|>')).toEqual([1, 4093, 198, 26843, 2]);
    const chat = tokenizer.apply_chat_template([{ role: 'user', content: 'Hi' }], {
      tokenize: false,
      add_generation_prompt: true,
    });
    expect(chat).toBe(
      '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' +
        '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  test.each(['fp32', 'q4'] as const)(
    '%s knows a capital, and ends its turn',
    async (dtype) => {
      const tokenizer = await AutoTokenizer.from_pretrained(folder);
      const model = await AutoModelForCausalLM.from_pretrained(folder, { dtype });
      const inputs = tokenizer.apply_chat_template([{ role: 'user', content: QUESTION }], {
        add_generation_prompt: true,
        return_dict: true,
      }) as object;
      const ids = await written(model, inputs, 24);
      expect(tokenizer.decode(ids)).toBe('The capital of Germany is Berlin.<|im_end|>');
      await model.dispose();
    },
    120_000,
  );
}
