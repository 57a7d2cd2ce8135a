/** Bold and dim where a person looks at a terminal; plain text everywhere else. */

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
}

/** NO_COLOR (no-color.org) keeps even a terminal plain. */
export function paintFor(stream: { isTTY?: boolean }, env = process.env): Paint {
  const on = stream.isTTY === true && (env.NO_COLOR ?? '') === '';
  const wrap = (code: number) => (text: string) => (on ? `\x1b[${code}m${text}\x1b[0m` : text);
  return { bold: wrap(1), dim: wrap(2) };
}
