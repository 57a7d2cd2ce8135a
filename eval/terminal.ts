/**
 * What goes to a terminal: names and texts of models, tasks and records come from strangers, and control or bidirectional
 * characters in them would move the cursor, name the window or reorder a line. They are shown as escapes.
 */

/** Written with escapes of its own, since the linter takes control characters in a pattern for a mistake. */
const CONTROL = new RegExp(
  [
    String.raw`\u001b\[[012]m|\r\u001b\[K|\r\n`, // what attune itself writes: bold, dim, plain, a line begun anew; line ends
    String.raw`[\u0000-\u0008\u000b-\u001f\u007f-\u009f]`,
    String.raw`[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]`,
  ].join('|'),
  'g',
);

/** Control characters but line ends and tabs, and what changes the direction of text, as \u escapes: valid in JSON too. */
export function withoutControls(text: string): string {
  return text.replace(CONTROL, (found) => (found.length > 1 ? found : escaped(found)));
}

const escaped = (text: string): string =>
  Array.from(text, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');

type Stream = { write(text: string): unknown };

/** A stream like another, that writes strings without controls. */
export function guarded<S extends Stream>(stream: S): S {
  const write = (chunk: string, ...rest: unknown[]) =>
    (stream.write as (...given: unknown[]) => unknown)(plain(chunk), ...rest);
  return Object.assign(Object.create(stream) as S, { write });
}

/** Makes a process's stream do so for whoever writes to it. */
export function guard(stream: NodeJS.WriteStream): void {
  const write = stream.write.bind(stream) as (...given: unknown[]) => boolean;
  stream.write = ((chunk: unknown, ...rest: unknown[]) =>
    write(plain(chunk), ...rest)) as typeof stream.write;
}

const plain = (chunk: unknown): unknown => (typeof chunk === 'string' ? withoutControls(chunk) : chunk);
