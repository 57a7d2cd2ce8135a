/** What the page shows, as a link that gives it back. */
import { z } from 'zod';

export const SCENES = ['text', 'documents', 'picture'] as const;
export type Scene = (typeof SCENES)[number];

const text = z.string().max(20_000);

const stateSchema = z.object({
  scene: z.enum(SCENES),
  /** A model of the Hub; without it the page's own. */
  model: z.object({ id: text.min(1), dtype: text.min(1) }).optional(),
  prompt: text,
  pieces: z.object({ prefix: text, documents: z.array(text).min(1).max(24), suffix: text, answer: text }),
  picture: z.object({ number: z.int().min(0).max(999), prompt: text }),
  specification: z.looseObject({ intervention: z.string() }),
});

export type State = Readonly<z.output<typeof stateSchema>>;
export type Pieces = State['pieces'];
export type Specification = State['specification'];

const QUESTION = 'Question: In which town does Nora Reed live?\nAnswer:';
const DOCUMENTS = [
  '- Nora Holt lives in Marl.\n',
  '- Nora Reed lives in Tarn.\n',
  '- Rufus Pike lives in Osby.\n',
];

export const FIRST: State = {
  scene: 'text',
  prompt: `Documents:\n${DOCUMENTS.join('')}${QUESTION}`,
  pieces: { prefix: 'Documents:\n', documents: DOCUMENTS, suffix: QUESTION, answer: ' Tarn' },
  picture: { number: 0, prompt: 'Describe the picture.' },
  specification: { intervention: 'zerotuning', gamma: 20 },
};

/** What a link says; without one that can be read, what the page begins with. */
export function stateOf(hash: string): State {
  try {
    const read = stateSchema.safeParse(JSON.parse(decodeURIComponent(hash.replace(/^#/, ''))));
    return read.success ? read.data : FIRST;
  } catch {
    return FIRST;
  }
}

export const hashOf = (state: State): string => `#${encodeURIComponent(JSON.stringify(state))}`;
