/** Tests that need something which a checkout may lack say so in their names, where .ci/count.mjs finds it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';

const SHARED = fileURLToPath(new URL('../../shared/', import.meta.url));

/** A file or folder of the collections that may lie beside a checkout. */
export const beside = (path: string): string => join(SHARED, path);

export interface OnlyWhere {
  readonly present: boolean;
  describe(name: string, body: () => void): void;
  test(name: string, body: () => unknown, timeout?: number): void;
}

/** @param reason why what follows is skipped where it is not present */
export function onlyWhere(present: boolean, reason: string): OnlyWhere {
  const titled = (name: string) => (present ? name : `${name} [skipped: ${reason}]`);
  return {
    present,
    describe: (name, body) => describe.skipIf(!present)(titled(name), body),
    test: (name, body, timeout) =>
      test.skipIf(!present)(titled(name), async () => void (await body()), timeout),
  };
}

/** For tests that read a collection beside the checkout. */
export const onlyBeside = (path: string): OnlyWhere =>
  onlyWhere(existsSync(beside(path)), `../shared/${path} is not beside this checkout`);
