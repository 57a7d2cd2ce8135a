/**
 * Property tests draw the same examples every time, so that a failure in CI is a failure everywhere. Set ATTUNE_SEED to
 * look further: ATTUNE_SEED=$RANDOM npm test. ATTUNE_LONG=10 draws ten times as many.
 */
import fc from 'fast-check';
import './testbed/one-thread.ts';

fc.configureGlobal({ seed: Number(process.env.ATTUNE_SEED ?? 2505) });
