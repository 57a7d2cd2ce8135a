/**
 * Property tests draw the same examples every time, so that a failure in CI is a failure everywhere. Set ATTUNE_SEED to
 * look further: ATTUNE_SEED=$RANDOM npm test.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.ATTUNE_SEED ?? 2505) });
