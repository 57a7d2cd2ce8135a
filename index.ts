/** attune: training-free interventions on attention for any ONNX transformer. */
export { AttuneError, isAttuneError } from './errors.ts';
