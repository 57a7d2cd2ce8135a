/**
 * A prompt as a chat that a model's own template writes out: a system turn where there is one, solved examples as turns of user
 * and assistant, the question as the last turn of the user, and the beginning of the assistant's, after the rules of
 * lm-evaluation-harness with `--apply_chat_template --fewshot_as_multiturn`. An answer begins the assistant's turn, without the delimiter
 * that stands between prompt and answer in a text.
 */
import { AttuneError } from '../../errors.ts';
import type { Example, Prompt, Segments } from '../tasks/item.ts';

export interface Turn {
  role: 'user' | 'assistant';
  content: string;
}

/** Turns as the model reads them, up to where the assistant's next turn begins. */
export type RenderChat = (turns: readonly Turn[]) => string;

/** What stands between solved examples, and between them and the prompt, in a text. */
export const SHOT_SEPARATOR = '\n\n';

/** Solved examples as text. */
export const shotsText = (shots: readonly Example[]): string =>
  shots.map(({ context, continuation }) => context + continuation + SHOT_SEPARATOR).join('');

/** An answer as the beginning of a turn. */
export const reply = (continuation: string): string => continuation.trimStart();

/**
 * The prompt in its chat. Its parts, where it is cut, stay where they are; templates may take spaces off both ends of a turn.
 *
 * @param prompt with the examples before it as text, as tasks make it
 * @throws AttuneError MODEL_CHAT where the template does not show the question
 */
export function asChat(
  render: RenderChat,
  { context, segments }: Prompt,
  shots: readonly Example[] = [],
): Prompt {
  const { length } = shotsText(shots);
  const question = context.slice(length);
  const turns = shots.flatMap((shot): Turn[] => [
    { role: 'user', content: shot.context },
    { role: 'assistant', content: reply(shot.continuation) },
  ]);
  const text = render([...turns, { role: 'user', content: question }]);
  if (!segments) {
    place(text, question.trim());
    return { context: text };
  }
  const own = { ...segments, prefix: segments.prefix.slice(length) };
  const bare = { ...own, prefix: own.prefix.trimStart(), suffix: own.suffix.trimEnd() };
  const whole = [own, bare].find((one) => text.includes(joined(one))) ?? bare;
  const [before, after] = place(text, joined(whole));
  return {
    context: text,
    segments: { prefix: before + whole.prefix, parts: whole.parts, suffix: whole.suffix + after },
  };
}

const joined = ({ prefix, parts, suffix }: Segments): string => prefix + parts.join('') + suffix;

/** What stands before and after a question in its chat. */
function place(text: string, question: string): [before: string, after: string] {
  const at = text.lastIndexOf(question);
  if (at !== -1) return [text.slice(0, at), text.slice(at + question.length)];
  throw new AttuneError('MODEL_CHAT', {
    found: `no ${JSON.stringify(question.slice(0, 80))} in what the chat template makes of it`,
    expected: 'the turn of the user as it is',
    hint: 'Without --chat the prompt is scored as plain text',
  });
}
