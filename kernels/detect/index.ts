/** detect: pure functions from taps to token sets, gates and head sets. */
export * from './head-divergence.ts';
export * from './image-tokens.ts';
export * from './massive-activations.ts';
