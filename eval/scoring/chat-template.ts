/** The chat template of a model's tokenizer. */
import { AttuneError } from '../../errors.ts';
import type { RenderChat } from './chat.ts';

/** How prompts are put as chats. */
export interface ChatOptions {
  /** Content of a system turn; default none of our own, so that templates that have one write theirs. */
  system?: string | undefined;
}

/** The part of a transformers.js tokenizer that is used here. */
export interface ChatTokenizer {
  get_chat_template?(): string;
  apply_chat_template?(turns: never, options: object): unknown;
}

export interface ChatTemplate {
  /** As the model's files have it. */
  source: string;
  render: RenderChat;
}

/** @throws AttuneError MODEL_CHAT for a model without a template; from the result for one that refuses the turns */
export function chatTemplate(tokenizer: ChatTokenizer, { system }: ChatOptions, at: string): ChatTemplate {
  const fail = (cause: unknown, expected: string) =>
    new AttuneError('MODEL_CHAT', { at, found: (cause as Error).message, expected, cause });
  let source: string;
  try {
    source = tokenizer.get_chat_template!();
  } catch (cause) {
    throw fail(cause, 'a chat template in tokenizer_config.json or chat_template.jinja');
  }
  const before = system === undefined ? [] : [{ role: 'system', content: system }];
  return {
    source,
    render(turns) {
      try {
        const options = { tokenize: false, add_generation_prompt: true };
        return tokenizer.apply_chat_template!([...before, ...turns] as never, options) as string;
      } catch (cause) {
        throw fail(cause, 'a template that takes these turns, the system turn among them');
      }
    },
  };
}
