/** The float64 reference every lowering is tested against; shapes and letters in tensor.ts. */
export * from './attention.ts';
export * from './attention-call.ts';
export * from './column-statistics.ts';
export * from './partitioned-attention.ts';
export * from './prob-map.ts';
export * from './prob-transfer.ts';
export * from './re-position.ts';
export * from './segments.ts';
export * from './tensor.ts';
export * from './visibility.ts';
