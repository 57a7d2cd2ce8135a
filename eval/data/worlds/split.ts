/**
 * Splits of the worlds. What must not be shared between splits (people, venues, word sets, scenes) has a key, and
 * the key alone decides the split: two splits can then never meet, whatever the seed and however many items are drawn.
 */
import { hash32 } from './random.ts';

export const SPLITS = ['train', 'calibration', 'validation', 'test'] as const;
export type Split = (typeof SPLITS)[number];

/** Ten equal buckets of keys: seven for training, one for each of the others. */
const BUCKETS: readonly Split[] = [...Array<Split>(7).fill('train'), 'calibration', 'validation', 'test'];

/** The split that owns a key. */
export const splitOf = (key: string): Split => BUCKETS[hash32(`split/${key}`) % BUCKETS.length] as Split;
