/** Prompts as chats, on the testbed's language model and on templates written here. */
import { fileURLToPath } from 'node:url';
import { AutoTokenizer } from '@huggingface/transformers';
import { beforeAll, describe, expect, test } from 'vitest';
import { type CausalTokenizer, causalLanguageModel } from './causal-language-model.ts';
import { asChat, type Turn } from './chat.ts';
import { chatTemplate } from './chat-template.ts';
import { encodeOption, encodePrompt } from './encode.ts';
import type { LanguageModel } from './language-model.ts';

const folder = (path: string) => fileURLToPath(new URL(`../../testbed/${path}`, import.meta.url));
const SHOTS = [{ context: 'Is it red?', continuation: ' yes' }];
const SHOT_TEXT = 'Is it red? yes\n\n';

let tokenizer: Awaited<ReturnType<typeof AutoTokenizer.from_pretrained>>;
let language: LanguageModel;
beforeAll(async () => {
  tokenizer = await AutoTokenizer.from_pretrained(folder('models/worlds-lm'));
  const plain = causalLanguageModel({ config: {} } as never, tokenizer as CausalTokenizer);
  language = { ...plain, renderChat: chatTemplate(tokenizer, {}, 'worlds-lm').render };
});

/** What transformers makes of the turns by itself. */
const chatIds = (turns: Turn[]): number[] =>
  tokenizer.apply_chat_template(turns as never, {
    add_generation_prompt: true,
    return_tensor: false,
    return_dict: false,
  }) as number[];

test('a prompt is the tokens of its chat, BOS once', async () => {
  const { tokens } = await encodePrompt(language, { context: 'Is it blue?' });
  expect(tokens).toEqual(chatIds([{ role: 'user', content: 'Is it blue?' }]));
  expect(tokens.filter((id) => id === tokenizer.bos_token_id)).toHaveLength(1);
});

test('examples are turns of their own, and an answer begins a turn without its delimiter', () => {
  const asked = { context: `${SHOT_TEXT}Is it blue?`, continuation: ' no' };
  const { context, continuation } = encodeOption(language, asked, { shots: SHOTS });
  const turns: Turn[] = [
    { role: 'user', content: 'Is it red?' },
    { role: 'assistant', content: 'yes' },
    { role: 'user', content: 'Is it blue?' },
  ];
  expect(context).toEqual(chatIds(turns));
  expect(continuation).toEqual(tokenizer.encode('no', { add_special_tokens: false }));
});

test('an answer without a prompt stands alone', () => {
  const bare = encodeOption(language, { context: '', continuation: ' no' });
  expect(bare).toEqual(
    encodeOption({ ...language, renderChat: undefined }, { context: '', continuation: ' no' }),
  );
});

test('documents stay where they are, after the beginning of the turn', async () => {
  const segments = {
    prefix: `${SHOT_TEXT}Read. `,
    parts: ['Ann is old. ', 'Bob is new. '],
    suffix: 'Who is old?',
  };
  const context = segments.prefix + segments.parts.join('') + segments.suffix;
  const { tokens, documents } = await encodePrompt(language, { context, segments, shots: SHOTS });
  expect(documents!.map(([from, to]) => tokenizer.decode(tokens.slice(from, to)).trim())).toEqual([
    'Ann is old.',
    'Bob is new.',
  ]);
  const { context: whole } = asChat(language.renderChat!, { context, segments }, SHOTS);
  expect(tokenizer.decode([...tokens]).replaceAll(' ', '')).toBe(whole.replaceAll(' ', ''));
});

describe('templates that take spaces off', () => {
  const trimming = (turns: readonly Turn[]) =>
    turns.map(({ role, content }) => `[${role}]${content.trim()}`).join('');
  const segments = { prefix: '  Read: ', parts: ['one', 'two'], suffix: ' Which?\n' };

  test('keep the parts of a prompt', () => {
    const chat = asChat(trimming, { context: '  Read: onetwo Which?\n', segments });
    expect(chat.segments).toEqual({ prefix: '[user]Read: ', parts: ['one', 'two'], suffix: ' Which?' });
  });

  test('a template that does not show the question is refused', () => {
    expect(() => asChat(() => '[user]', { context: 'Which?' })).toThrow(/MODEL_CHAT.*Which\?/);
  });
});

test('a system turn stands first; a model without a template is refused', async () => {
  const { render } = chatTemplate(tokenizer, { system: 'Be brief.' }, 'worlds-lm');
  expect(render([{ role: 'user', content: 'Hi' }])).toContain('Be brief.');
  const bare = await AutoTokenizer.from_pretrained(folder('models/worlds-lm'));
  bare.chat_template = null;
  expect(() => chatTemplate(bare, {}, 'bare')).toThrow(/MODEL_CHAT: at bare: .*chat_template is not set/);
});
