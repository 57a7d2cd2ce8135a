/** A file written whole or not at all: beside its place first, then put there. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AttuneError } from '../errors.ts';

/**
 * @param hint what to do where it fails
 * @throws AttuneError RUN_WRITE
 */
export function writeWhole(path: string, text: string, hint?: string): void {
  try {
    mkdirSync(dirname(resolve(path)), { recursive: true });
    writeFileSync(`${path}.partial`, text);
    renameSync(`${path}.partial`, path);
  } catch (cause) {
    throw new AttuneError('RUN_WRITE', {
      at: path,
      found: (cause as Error).message,
      ...(hint !== undefined && { hint }),
      cause,
    });
  }
}
