/** Data that come with attune: in the package under dist/data (.ci/ship.mjs puts them there), in a checkout where they are made. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const packed = existsSync(at('data'));

/** Folders of the demo's models, of the profiles calibrated for them, and of golden vectors of single methods. */
export const SHIPPED = {
  models: at(packed ? 'data/models' : 'testbed/models'),
  profiles: at(packed ? 'data/profiles' : 'bench/results/profiles'),
  golden: at(packed ? 'data/golden' : 'testbed/golden'),
} as const;
