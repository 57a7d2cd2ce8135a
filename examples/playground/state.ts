/** What the page shows, as a link that gives it back. */

export interface State {
  readonly prompt: string;
  readonly intervention: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

const PROMPT = `Documents:
- Nora Holt lives in Marl.
- Nora Reed lives in Tarn.
- Rufus Pike lives in Osby.
Question: In which town does Nora Reed live?
Answer:`;

const FIRST: State = { prompt: PROMPT, intervention: 'zerotuning', parameters: { gamma: 6 } };

/** What a link says; what it does not say, or says wrongly, is as at first. */
export function stateOf(hash: string): State {
  try {
    const read = JSON.parse(decodeURIComponent(hash.replace(/^#/, ''))) as Partial<State>;
    const isText = typeof read.prompt === 'string' && typeof read.intervention === 'string';
    const isObject = typeof read.parameters === 'object' && read.parameters !== null;
    return isText && isObject ? (read as State) : FIRST;
  } catch {
    return FIRST;
  }
}

export const hashOf = (state: State): string => `#${encodeURIComponent(JSON.stringify(state))}`;
