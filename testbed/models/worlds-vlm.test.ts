/** The chat template of worlds-vlm takes content as text and in parts, as processors' templates do. */
import { fileURLToPath } from 'node:url';
import { AutoProcessor } from '@huggingface/transformers';
import { expect, test } from 'vitest';

const processor = await AutoProcessor.from_pretrained(fileURLToPath(new URL('worlds-vlm', import.meta.url)));
const rendered = (content: unknown, answer: unknown) =>
  processor.apply_chat_template(
    [
      { role: 'user', content },
      { role: 'assistant', content: answer },
      { role: 'user', content: 'Really?' },
    ] as never,
    { add_generation_prompt: true, tokenize: false },
  );

test('content in parts is the text that was written by hand', () => {
  const parts = [{ type: 'image' }, { type: 'text', text: 'What is there?' }];
  const expected = '<s><|user|><image>\nWhat is there?<|assistant|>A dog.</s><|user|>Really?<|assistant|>';
  expect(rendered(parts, [{ type: 'text', text: 'A dog.' }])).toBe(expected);
  expect(rendered('<image>\nWhat is there?', 'A dog.')).toBe(expected);
});
