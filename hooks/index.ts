/** Hook points, compiled graphs, sessions and transformers.js models. */

export { recognise } from '../sites/index.ts';
export * from '../sites/points/index.ts';
export * from './compile/index.ts';
export * from './model/index.ts';
export * from './session/index.ts';
