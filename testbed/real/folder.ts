/** Where the real model lies: outside the repository, in the user's cache. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export const SMOLLM2 = 'SmolLM2-135M-Instruct';

/** Forms by the ending of their folder; GroupQueryAttention is what the Hub has of this model. */
export const REAL_FORMS = { gqa: `${SMOLLM2}-gqa`, decomposed: `${SMOLLM2}-decomposed` } as const;

export type RealForm = keyof typeof REAL_FORMS;

/** $ATTUNE_REAL, or ~/.cache/attune/real. */
export const realRoot = (): string => process.env.ATTUNE_REAL ?? join(homedir(), '.cache/attune/real');

/** A model's folder where it was made, for tests; undefined where not. The model is written last. */
export function realFolder(form: RealForm, file = 'model.onnx'): string | undefined {
  const folder = join(realRoot(), REAL_FORMS[form]);
  return existsSync(join(folder, 'onnx', file)) ? folder : undefined;
}

/** What tests print where there is no model. */
export const REAL_ABSENT = 'not run: no real model; `npm run testbed:real` makes it';
