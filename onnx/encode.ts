/**
 * Model to bytes. Objects that still have their `raw` are written as they were read; payloads left in the model
 * file stay ranges in the result (`Piece[]`), to be copied, streamed, or (graft.ts) turned into references.
 */
import { AttuneError } from '../errors.ts';
import type {
  Attribute,
  FunctionDef,
  Graph,
  Model,
  Node,
  OpsetImport,
  Payload,
  Tensor,
  ValueInfo,
} from './model.ts';
import { AttributeType } from './model.ts';
import type { ByteSource } from './source.ts';
import { type Piece, WireWriter } from './wire.ts';

/**
 * The bytes of a model in pieces: what was not changed is carried along unread, as ranges of the file it came from.
 */
export function encodeModel(model: Model): Piece[] {
  return encode(model, writeModel).pieces;
}

function encode<M extends { raw?: readonly Piece[] | undefined; unknown?: readonly Piece[] | undefined }>(
  message: M,
  write: (writer: WireWriter, message: M) => void,
): WireWriter {
  const writer = new WireWriter();
  if (message.raw) {
    for (const piece of message.raw) writer.raw(piece);
    return writer;
  }
  write(writer, message);
  for (const piece of message.unknown ?? []) writer.raw(piece);
  return writer;
}

function writeModel(w: WireWriter, model: Model): void {
  w.varint(1, model.irVersion);
  text(w, 2, model.producerName);
  text(w, 3, model.producerVersion);
  text(w, 4, model.domain);
  if (model.modelVersion !== 0) w.varint(5, model.modelVersion);
  text(w, 6, model.docString);
  w.message(7, encode(model.graph, writeGraph));
  for (const opset of model.opsetImports) w.message(8, encode(opset, writeOpset));
  for (const [key, value] of model.metadata) w.message(14, entry(key, value));
  for (const fn of model.functions) w.message(25, encode(fn, writeFunction));
}

function writeOpset(w: WireWriter, { domain, version }: OpsetImport): void {
  text(w, 1, domain);
  w.varint(2, version);
}

function writeGraph(w: WireWriter, graph: Graph): void {
  for (const node of graph.nodes) w.message(1, encode(node, writeNode));
  text(w, 2, graph.name);
  for (const tensor of graph.initializers) w.message(5, encode(tensor, writeTensor));
  for (const value of graph.inputs) w.message(11, encode(value, writeValueInfo));
  for (const value of graph.outputs) w.message(12, encode(value, writeValueInfo));
  for (const value of graph.valueInfos) w.message(13, encode(value, writeValueInfo));
}

function writeNode(w: WireWriter, node: Node): void {
  for (const input of node.inputs) w.string(1, input);
  for (const output of node.outputs) w.string(2, output);
  text(w, 3, node.name);
  w.string(4, node.opType);
  for (const attribute of node.attributes) w.message(5, encode(attribute, writeAttribute));
  text(w, 7, node.domain);
  text(w, 8, node.overload);
}

function writeAttribute(w: WireWriter, a: Attribute): void {
  w.string(1, a.name);
  if (a.ref !== undefined) w.string(21, a.ref);
  else if (a.type === AttributeType.FLOAT) w.float32(2, a.f ?? 0);
  else if (a.type === AttributeType.INT) w.varint(3, a.exact?.i ?? a.i ?? 0);
  else if (a.s !== undefined) w.bytes(4, a.s);
  if (a.t) w.message(5, encode(a.t, writeTensor));
  if (a.g) w.message(6, encode(a.g, writeGraph));
  for (const f of a.floats ?? []) w.float32(7, f);
  for (const i of a.exact?.ints ?? a.ints ?? []) w.varint(8, i);
  for (const s of a.strings ?? []) w.bytes(9, s);
  for (const t of a.tensors ?? []) w.message(10, encode(t, writeTensor));
  for (const g of a.graphs ?? []) w.message(11, encode(g, writeGraph));
  w.varint(20, a.type);
}

function writeTensor(w: WireWriter, tensor: Tensor): void {
  if (tensor.dims.length > 0) w.packedVarints(1, tensor.dims);
  w.varint(2, tensor.dataType);
  text(w, 8, tensor.name);
  if (tensor.payload) writePayload(w, tensor.payload);
}

function writePayload(w: WireWriter, payload: Payload): void {
  if (payload.kind === 'inline') w.bytes(payload.field, payload.piece);
  else if (payload.kind === 'strings') for (const value of payload.values) w.bytes(6, value);
  else {
    w.message(13, entry('location', payload.location));
    w.message(13, entry('offset', String(payload.offset)));
    if (payload.length !== undefined) w.message(13, entry('length', String(payload.length)));
    w.varint(14, 1);
  }
}

function writeValueInfo(w: WireWriter, value: ValueInfo): void {
  w.string(1, value.name);
  if (value.elemType === undefined) return;
  const tensor = new WireWriter().varint(1, value.elemType);
  if (value.shape) {
    const shape = new WireWriter();
    for (const dim of value.shape) {
      const message = new WireWriter();
      if (typeof dim === 'number') message.varint(1, dim);
      else if (typeof dim === 'string') message.string(2, dim);
      shape.message(1, message);
    }
    tensor.message(2, shape);
  }
  w.message(2, new WireWriter().message(1, tensor));
}

function writeFunction(w: WireWriter, fn: FunctionDef): void {
  w.string(1, fn.name);
  for (const input of fn.inputs) w.string(4, input);
  for (const output of fn.outputs) w.string(5, output);
  for (const attribute of fn.attributes) w.string(6, attribute);
  for (const node of fn.nodes) w.message(7, encode(node, writeNode));
  text(w, 8, fn.docString ?? '');
  for (const opset of fn.opsetImports) w.message(9, encode(opset, writeOpset));
  w.string(10, fn.domain);
  for (const attribute of fn.attributeDefaults) w.message(11, encode(attribute, writeAttribute));
  text(w, 13, fn.overload);
}

function entry(key: string, value: string): WireWriter {
  return new WireWriter().string(1, key).string(2, value);
}

function text(w: WireWriter, field: number, value: string): void {
  if (value !== '') w.string(field, value);
}

/** Protobuf messages, and so ONNX Runtime's model bytes, end at 2 GiB. */
const LIMIT = 2 ** 31 - 1;

/**
 * Pieces as one byte array, ranges read from the source they were left in.
 * @throws AttuneError ONNX_TOO_LARGE beyond 2 GiB: keep weights external (graft) instead
 */
export async function assemble(pieces: readonly Piece[], source: ByteSource): Promise<Uint8Array> {
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (size > LIMIT) {
    throw new AttuneError('ONNX_TOO_LARGE', {
      found: `${size} bytes`,
      expected: `at most ${LIMIT} in one protobuf message`,
      hint: 'Leave the weights where they are (graft) or use external data.',
    });
  }
  const result = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    result.set(piece instanceof Uint8Array ? piece : await source.read(piece), at);
    at += piece.length;
  }
  return result;
}
