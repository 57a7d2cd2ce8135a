/**
 * Reading, editing and writing ONNX models lazily: tensor payloads above 1 KiB stay where they are.
 *
 *     const file = await openModel('onnx/model.onnx');
 *     const bytes = await assemble(graft(file.model, 'model.onnx'), file.source);
 */
export * from './edit.ts';
export { assemble, encodeModel } from './encode.ts';
export { checkExternalFiles, externalFiles } from './external.ts';
export { externalFile } from './external-file.ts';
export { graft, grafted } from './graft.ts';
export * from './graph-index.ts';
export { halfToNumber, numberToHalf } from './half.ts';
export { type HeldSource, heldSource } from './held.ts';
export { inlineFunctions } from './inline.ts';
export * from './model.ts';
export { inNode, nodeModule } from './node.ts';
export { type OnnxFile, openModel, opsetVersion, SUPPORTED } from './open.ts';
export { executionOrder } from './order.ts';
export { type Places, realPlaces } from './places.ts';
export { INLINE_LIMIT } from './skim.ts';
export { type ByteSource, blobSource, bytesSource, fileSource } from './source.ts';
export * from './tensor.ts';
export type { ByteRange, Piece } from './wire.ts';
