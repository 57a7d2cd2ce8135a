/** Files that are read whole: text, and JSON. */
import { readFileSync } from 'node:fs';
import { AttuneError } from '../../errors.ts';

/** @param at what messages call the file @throws AttuneError DATA_FILE */
export function readText(path: string, at = path): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AttuneError('DATA_FILE', {
      at,
      found: (cause as Error).message,
      expected: 'a file',
      cause,
    });
  }
}

/** @throws AttuneError DATA_FILE, DATA_SYNTAX */
export function readJson(path: string, at = path): unknown {
  const text = readText(path, at);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AttuneError('DATA_SYNTAX', {
      at,
      found: (cause as Error).message,
      expected: 'JSON',
      cause,
    });
  }
}
