/** Second pass: the skimmed bytes as a Model. One function per message of onnx.proto3, field numbers inline. */
import { AttuneError } from '../errors.ts';
import { externalPayload } from './external.ts';
import {
  type Attribute,
  type FunctionDef,
  type Graph,
  MAX_RANK,
  type Model,
  type Node,
  type OpsetImport,
  type Payload,
  type Tensor,
  type ValueInfo,
} from './model.ts';
import { PAYLOAD_FIELDS, type Skimmed } from './skim.ts';
import {
  type ByteRange,
  FIXED32,
  FIXED64,
  LENGTH,
  type Piece,
  VARINT,
  WireReader,
  WireWriter,
} from './wire.ts';

/** Sub-graphs nested deeper than this are damage, not models. */
const MAX_DEPTH = 64;

/** @throws AttuneError ONNX_TRUNCATED, ONNX_MALFORMED with the byte position */
export function decodeModel(skimmed: Skimmed, size: number): Model {
  return new Decoder(skimmed).model(size);
}

class Decoder {
  readonly #reader: WireReader;
  /** Holes passed so far, with the held position they stand at. */
  readonly #passed: { held: number; range: ByteRange }[] = [];
  #depth = 0;

  constructor({ bytes, holes }: Skimmed) {
    this.#reader = new WireReader(bytes, holes);
  }

  /**
   * Read the fields of the message that ends at `end`. `known` reads a field and returns true, or returns false
   * for one it does not interpret, which then goes to `unknown`; 'carried' is read and goes there as well.
   */
  #fields(
    end: number,
    known: (field: number, type: number) => boolean | 'carried',
  ): { raw: Piece[]; unknown?: Piece[] } {
    const reader = this.#reader;
    const start = reader.held;
    const firstHole = this.#passed.length;
    let unknown: Piece[] | undefined;
    while (reader.position < end) {
      const from = reader.held;
      const { field, type } = reader.tag();
      const holesBefore = this.#passed.length;
      const read = known(field, type);
      if (read === true) continue;
      if (read === false) reader.skip(type, end);
      unknown ??= [];
      for (const piece of this.#pieces(from, holesBefore)) unknown.push(piece);
    }
    if (reader.position !== end) {
      throw new AttuneError('ONNX_MALFORMED', {
        at: `byte ${reader.position}`,
        found: 'a field that runs past the end of its message',
        hint: 'The file is damaged or is not an ONNX model.',
      });
    }
    const raw = this.#pieces(start, firstHole);
    return unknown ? { raw, unknown } : { raw };
  }

  /** The bytes from held position `from` up to here, with the holes between. */
  #pieces(from: number, firstHole: number): Piece[] {
    const pieces: Piece[] = [];
    let at = from;
    for (let i = firstHole; i < this.#passed.length; i++) {
      const { held, range } = this.#passed[i]!;
      if (held > at) pieces.push(this.#reader.slice(at, held));
      pieces.push(range);
      at = held;
    }
    if (this.#reader.held > at) pieces.push(this.#reader.slice(at, this.#reader.held));
    return pieces;
  }

  #expect(type: number, expected: number): void {
    if (type === expected) return;
    throw new AttuneError('ONNX_MALFORMED', {
      at: `byte ${this.#reader.position}`,
      found: `wire type ${type}`,
      expected: `wire type ${expected}`,
      hint: 'The file is damaged or is not an ONNX model.',
    });
  }

  #string(type: number, end: number): string {
    this.#expect(type, LENGTH);
    return this.#reader.string(this.#reader.length(end));
  }

  #bytes(type: number, end: number): Uint8Array {
    this.#expect(type, LENGTH);
    return this.#reader.bytes(this.#reader.length(end));
  }

  #int(type: number): number {
    this.#expect(type, VARINT);
    return this.#reader.int64();
  }

  /** Field `i` of an attribute, which is most often 0, 1 or an axis, and now and then 2^63 − 1. */
  #exactInt(type: number): Pick<Attribute, 'i' | 'exact'> {
    this.#expect(type, VARINT);
    const value = this.#reader.exactInt64();
    return typeof value === 'bigint' ? { i: Number(value), exact: { i: value } } : { i: value };
  }

  /** A repeated int64, packed or not. */
  #ints(type: number, end: number, into: (number | bigint)[]): true {
    if (type === VARINT) into.push(this.#reader.exactInt64());
    else {
      const last = this.#end(type, end);
      while (this.#reader.position < last) into.push(this.#reader.exactInt64());
    }
    return true;
  }

  /** End position of the nested message that starts here. */
  #end(type: number, end: number): number {
    this.#expect(type, LENGTH);
    const length = this.#reader.length(end);
    return this.#reader.position + length;
  }

  model(end: number): Model {
    let irVersion = 0;
    let producerName = '';
    let producerVersion = '';
    let domain = '';
    let modelVersion = 0;
    let docString = '';
    let graph: Graph | undefined;
    const opsetImports: OpsetImport[] = [];
    const metadata = new Map<string, string>();
    const functions: FunctionDef[] = [];
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) irVersion = this.#int(type);
      else if (field === 2) producerName = this.#string(type, end);
      else if (field === 3) producerVersion = this.#string(type, end);
      else if (field === 4) domain = this.#string(type, end);
      else if (field === 5) modelVersion = this.#int(type);
      else if (field === 6) docString = this.#string(type, end);
      else if (field === 7) graph = this.#graph(this.#end(type, end));
      else if (field === 8) opsetImports.push(this.#opset(this.#end(type, end)));
      else if (field === 14) metadata.set(...this.#entry(this.#end(type, end)));
      else if (field === 25) functions.push(this.#function(this.#end(type, end)));
      else return false;
      return true;
    });
    if (!graph) {
      throw new AttuneError('ONNX_NO_GRAPH', {
        found: 'a protobuf message without a graph',
        expected: 'an ONNX ModelProto',
        hint: 'Is this an .onnx file?',
      });
    }
    const base = { irVersion, producerName, producerVersion, domain, modelVersion, docString };
    return { ...base, opsetImports, metadata, graph, functions, ...rest };
  }

  #entry(end: number): [string, string] {
    let key = '';
    let value = '';
    this.#fields(end, (field, type) => {
      if (field === 1) key = this.#string(type, end);
      else if (field === 2) value = this.#string(type, end);
      else return false;
      return true;
    });
    return [key, value];
  }

  #opset(end: number): OpsetImport {
    let domain = '';
    let version = 0;
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) domain = defaultDomain(this.#string(type, end));
      else if (field === 2) version = this.#int(type);
      else return false;
      return true;
    });
    return { domain, version, ...rest };
  }

  #graph(end: number): Graph {
    if (++this.#depth > MAX_DEPTH) {
      throw new AttuneError('ONNX_MALFORMED', {
        at: `byte ${this.#reader.position}`,
        found: `graphs nested more than ${MAX_DEPTH} deep`,
      });
    }
    let name = '';
    const nodes: Node[] = [];
    const initializers: Tensor[] = [];
    const inputs: ValueInfo[] = [];
    const outputs: ValueInfo[] = [];
    const valueInfos: ValueInfo[] = [];
    const sparseInitializers: string[] = [];
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) nodes.push(this.#node(this.#end(type, end)));
      else if (field === 2) name = this.#string(type, end);
      else if (field === 5) initializers.push(this.#tensor(this.#end(type, end)));
      else if (field === 11) inputs.push(this.#valueInfo(this.#end(type, end)));
      else if (field === 12) outputs.push(this.#valueInfo(this.#end(type, end)));
      else if (field === 13) valueInfos.push(this.#valueInfo(this.#end(type, end)));
      else if (field === 15) {
        sparseInitializers.push(this.#sparse(this.#end(type, end)));
        return 'carried';
      } else return false;
      return true;
    });
    this.#depth--;
    const lists = { nodes, inputs, outputs, valueInfos, initializers, sparseInitializers };
    return { name, ...lists, ...rest };
  }

  /** The name of a sparse tensor, whose values may lie in holes. */
  #sparse(end: number): string {
    let name = '';
    this.#fields(end, (field, type) => {
      if (field === 1) name = this.#tensor(this.#end(type, end)).name;
      else if (field === 2) this.#tensor(this.#end(type, end));
      else return false;
      return true;
    });
    return name;
  }

  #node(end: number): Node {
    let name = '';
    let opType = '';
    let domain = '';
    let overload = '';
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributes: Attribute[] = [];
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) inputs.push(this.#string(type, end));
      else if (field === 2) outputs.push(this.#string(type, end));
      else if (field === 3) name = this.#string(type, end);
      else if (field === 4) opType = this.#string(type, end);
      else if (field === 5) attributes.push(this.#attribute(this.#end(type, end)));
      else if (field === 7) domain = defaultDomain(this.#string(type, end));
      else if (field === 8) overload = this.#string(type, end);
      else return false;
      return true;
    });
    return { name, opType, domain, overload, inputs, outputs, attributes, ...rest };
  }

  #attribute(end: number): Attribute {
    const found: { -readonly [key in keyof Attribute]: Attribute[key] } = { name: '', type: 0 };
    const floats: number[] = [];
    const ints: (number | bigint)[] = [];
    const strings: Uint8Array[] = [];
    const tensors: Tensor[] = [];
    const graphs: Graph[] = [];
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) found.name = this.#string(type, end);
      else if (field === 2) {
        this.#expect(type, FIXED32);
        found.f = this.#reader.float32();
      } else if (field === 3) Object.assign(found, this.#exactInt(type));
      else if (field === 4) found.s = this.#bytes(type, end);
      else if (field === 5) found.t = this.#tensor(this.#end(type, end));
      else if (field === 6) found.g = this.#graph(this.#end(type, end));
      else if (field === 7) {
        if (type === FIXED32) floats.push(this.#reader.float32());
        else {
          const last = this.#end(type, end);
          while (this.#reader.position < last) floats.push(this.#reader.float32());
        }
      } else if (field === 8) this.#ints(type, end, ints);
      else if (field === 9) strings.push(this.#bytes(type, end));
      else if (field === 10) tensors.push(this.#tensor(this.#end(type, end)));
      else if (field === 11) graphs.push(this.#graph(this.#end(type, end)));
      else if (field === 20) found.type = this.#int(type);
      else if (field === 21) found.ref = this.#string(type, end);
      else if (field === 22 || field === 23) {
        this.#sparse(this.#end(type, end));
        return 'carried';
      } else return false;
      return true;
    });
    if (floats.length > 0) found.floats = floats;
    if (ints.length > 0) found.ints = ints.map(Number);
    if (ints.some((value) => typeof value === 'bigint')) found.exact = { ...found.exact, ints };
    if (strings.length > 0) found.strings = strings;
    if (tensors.length > 0) found.tensors = tensors;
    if (graphs.length > 0) found.graphs = graphs;
    found.raw = rest.raw;
    if (rest.unknown) found.unknown = rest.unknown;
    return found;
  }

  #tensor(end: number): Tensor {
    let name = '';
    let dataType = 0;
    let location = 0;
    let payload: Payload | undefined;
    const dims: (number | bigint)[] = [];
    const strings: Uint8Array[] = [];
    const external = new Map<string, string>();
    let loose: { field: number; packed: WireWriter } | undefined;
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) this.#ints(type, end, dims);
      else if (field === 2) dataType = this.#int(type);
      else if (field === 6) strings.push(this.#bytes(type, end));
      else if (field === 8) name = this.#string(type, end);
      else if (field === 13) external.set(...this.#entry(this.#end(type, end)));
      else if (field === 14) location = this.#int(type);
      else if (PAYLOAD_FIELDS.has(field) && type === LENGTH) {
        payload = { kind: 'inline', field, piece: this.#payload(end) };
      } else if (PAYLOAD_FIELDS.has(field) && field !== 9) {
        loose ??= { field, packed: new WireWriter() };
        this.#unpacked(type, loose.packed);
      } else return false;
      return true;
    });
    if (loose) payload = { kind: 'inline', field: loose.field, piece: flat(loose.packed.pieces) };
    if (strings.length > 0) payload = { kind: 'strings', values: strings };
    if (location === 1) payload = externalPayload(name, external);
    return { name, dataType, dims: this.#dims(name, dims), payload, ...rest };
  }

  /** A tensor has few axes of non-negative size: nothing that reads a shape needs to ask again. */
  #dims(name: string, dims: readonly (number | bigint)[]): readonly number[] {
    const sizes = dims.map(Number);
    if (sizes.length <= MAX_RANK && sizes.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) return sizes;
    const shown = dims.slice(0, 8).join(', ');
    throw new AttuneError('ONNX_MALFORMED', {
      at: `tensor ${name}`,
      found: `dims [${shown}${dims.length > 8 ? ', …' : ''}]`,
      expected: `at most ${MAX_RANK} non-negative sizes`,
      hint: 'The file is damaged.',
    });
  }

  #payload(end: number): Uint8Array | ByteRange {
    const length = this.#reader.length(end);
    const hole = this.#reader.skipHole();
    if (!hole) return this.#reader.bytes(length);
    this.#passed.push({ held: this.#reader.held, range: hole });
    return hole;
  }

  /** One element of a repeated field written without packing, as old exporters did. */
  #unpacked(type: number, packed: WireWriter): void {
    const from = this.#reader.held;
    if (type === VARINT) this.#reader.varint();
    else this.#reader.bytes(type === FIXED64 ? 8 : 4);
    packed.raw(this.#reader.slice(from, this.#reader.held));
  }

  #valueInfo(end: number): ValueInfo {
    let name = '';
    let tensor: { elemType: number; shape: ValueInfo['shape'] } | undefined;
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) name = this.#string(type, end);
      else if (field === 2) {
        const typeEnd = this.#end(type, end);
        this.#fields(typeEnd, (inner, innerType) => {
          if (inner !== 1) return false;
          tensor = this.#tensorType(this.#end(innerType, typeEnd));
          return true;
        });
      } else return false;
      return true;
    });
    return { name, elemType: tensor?.elemType, shape: tensor?.shape, ...rest };
  }

  #tensorType(end: number): { elemType: number; shape: ValueInfo['shape'] } {
    let elemType = 0;
    let shape: (number | string | undefined)[] | undefined;
    this.#fields(end, (field, type) => {
      if (field === 1) elemType = this.#int(type);
      else if (field === 2) {
        const dims: (number | string | undefined)[] = [];
        const shapeEnd = this.#end(type, end);
        this.#fields(shapeEnd, (inner, innerType) => {
          if (inner !== 1) return false;
          dims.push(this.#dim(this.#end(innerType, shapeEnd)));
          return true;
        });
        shape = dims;
      } else return false;
      return true;
    });
    return { elemType, shape };
  }

  #dim(end: number): number | string | undefined {
    let dim: number | string | undefined;
    this.#fields(end, (field, type) => {
      if (field === 1) dim = this.#int(type);
      else if (field === 2) dim = this.#string(type, end) || undefined;
      else return false;
      return true;
    });
    return dim;
  }

  #function(end: number): FunctionDef {
    let name = '';
    let domain = '';
    let overload = '';
    let docString: string | undefined;
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributes: string[] = [];
    const attributeDefaults: Attribute[] = [];
    const nodes: Node[] = [];
    const opsetImports: OpsetImport[] = [];
    const rest = this.#fields(end, (field, type) => {
      if (field === 1) name = this.#string(type, end);
      else if (field === 4) inputs.push(this.#string(type, end));
      else if (field === 5) outputs.push(this.#string(type, end));
      else if (field === 6) attributes.push(this.#string(type, end));
      else if (field === 7) nodes.push(this.#node(this.#end(type, end)));
      else if (field === 8) docString = this.#string(type, end);
      else if (field === 9) opsetImports.push(this.#opset(this.#end(type, end)));
      else if (field === 10) domain = defaultDomain(this.#string(type, end));
      else if (field === 11) attributeDefaults.push(this.#attribute(this.#end(type, end)));
      else if (field === 13) overload = this.#string(type, end);
      else return false;
      return true;
    });
    const signature = { name, domain, overload, inputs, outputs, attributes, attributeDefaults };
    return { ...signature, nodes, opsetImports, docString, ...rest };
  }
}

/** The default domain has two spellings. */
function defaultDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function flat(pieces: readonly Piece[]): Uint8Array {
  const bytes = pieces as readonly Uint8Array[];
  const result = new Uint8Array(bytes.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of bytes) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}
