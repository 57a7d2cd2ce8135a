/** Files that are read whole: text, and JSON. */
import { readFileSync } from 'node:fs';
import { AttuneError } from '../../errors.ts';

/** @throws AttuneError DATA_FILE */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AttuneError('DATA_FILE', {
      at: path,
      found: (cause as Error).message,
      expected: 'a file',
      cause,
    });
  }
}

/** @throws AttuneError DATA_FILE, DATA_SYNTAX */
export function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AttuneError('DATA_SYNTAX', {
      at: path,
      found: (cause as Error).message,
      expected: 'JSON',
      cause,
    });
  }
}
