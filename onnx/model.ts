/**
 * The ONNX model as immutable data, after onnx.proto3 (github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
 * Every message remembers the bytes it came from (`raw`): an object with `raw` is written back exactly so. To
 * change something, spread it into a new object without `raw` (see edit.ts). Fields attune does not interpret
 * are carried in `unknown`.
 */
import type { ByteRange, Piece } from './wire.ts';

/** More axes than any operator takes; tensors of higher rank are damage. */
export const MAX_RANK = 32;

interface Message {
  readonly raw?: readonly Piece[] | undefined;
  readonly unknown?: readonly Piece[] | undefined;
}

/** An operator set that a model imports. */
export interface OpsetImport extends Message {
  /** '' for the default one. */
  readonly domain: string;
  /** Its version. */
  readonly version: number;
}

/** An ONNX model: ModelProto. */
export interface Model extends Message {
  /** Version of the file format. */
  readonly irVersion: number;
  /** What wrote the file. */
  readonly producerName: string;
  /** Its version. */
  readonly producerVersion: string;
  /** As the file has it. */
  readonly domain: string;
  /** As the file has it. */
  readonly modelVersion: number;
  /** As the file has it. */
  readonly docString: string;
  /** Operator sets with their versions. */
  readonly opsetImports: readonly OpsetImport[];
  /** Key to value. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The main graph. */
  readonly graph: Graph;
  /** Model-local functions. */
  readonly functions: readonly FunctionDef[];
}

/** Nodes with their inputs, outputs and weights: GraphProto. */
export interface Graph extends Message {
  /** As the file has it. */
  readonly name: string;
  /** In order of execution. */
  readonly nodes: readonly Node[];
  /** Inputs; older files list initializers among them. */
  readonly inputs: readonly ValueInfo[];
  /** Outputs. */
  readonly outputs: readonly ValueInfo[];
  /** Declared types of inner values. */
  readonly valueInfos: readonly ValueInfo[];
  /** Weights. */
  readonly initializers: readonly Tensor[];
  /** Only the names matter to graph analysis; the tensors stay encoded in `unknown`. */
  readonly sparseInitializers: readonly string[];
}

/** An operator with its inputs and outputs: NodeProto. */
export interface Node extends Message {
  /** Often empty, seldom unique. */
  readonly name: string;
  /** Such as MatMul. */
  readonly opType: string;
  /** '' for the default domain, also when the file says 'ai.onnx'. */
  readonly domain: string;
  /** Which overload of a model-local function. */
  readonly overload: string;
  /** An empty string is an omitted optional input. */
  readonly inputs: readonly string[];
  /** Names of values; '' for one that nobody uses. */
  readonly outputs: readonly string[];
  /** In the order of the file. */
  readonly attributes: readonly Attribute[];
}

/** AttributeProto.AttributeType. */
export const AttributeType = {
  UNDEFINED: 0,
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  FLOATS: 6,
  INTS: 7,
  STRINGS: 8,
  TENSORS: 9,
  GRAPHS: 10,
  SPARSE_TENSOR: 11,
  SPARSE_TENSORS: 12,
  TYPE_PROTO: 13,
  TYPE_PROTOS: 14,
} as const;

/** An attribute of a node: AttributeProto. One of the fields holds its value, by `type`. */
export interface Attribute extends Message {
  /** Its name. */
  readonly name: string;
  /** AttributeType. */
  readonly type: number;
  /** FLOAT. */
  readonly f?: number;
  /** Rounded to a double beyond 2^53. */
  readonly i?: number;
  /** `i`, or an element of `ints`, where a double rounds it: what is written back. */
  readonly exact?: { readonly i?: bigint; readonly ints?: readonly (number | bigint)[] };
  /** STRING, UTF-8. */
  readonly s?: Uint8Array;
  /** TENSOR. */
  readonly t?: Tensor;
  /** GRAPH. */
  readonly g?: Graph;
  /** FLOATS. */
  readonly floats?: readonly number[];
  /** INTS, rounded to doubles beyond 2^53. */
  readonly ints?: readonly number[];
  /** STRINGS, UTF-8. */
  readonly strings?: readonly Uint8Array[];
  /** TENSORS. */
  readonly tensors?: readonly Tensor[];
  /** GRAPHS. */
  readonly graphs?: readonly Graph[];
  /** Inside a function body: the attribute of the call that supplies the value. */
  readonly ref?: string;
}

/** TensorProto.DataType; `bits` is the width of an element as stored. */
export const DataType = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  COMPLEX64: 14,
  COMPLEX128: 15,
  BFLOAT16: 16,
  FLOAT8E4M3FN: 17,
  FLOAT8E4M3FNUZ: 18,
  FLOAT8E5M2: 19,
  FLOAT8E5M2FNUZ: 20,
  UINT4: 21,
  INT4: 22,
  FLOAT4E2M1: 23,
  FLOAT8E8M0: 24,
  UINT2: 25,
  INT2: 26,
} as const;

/** A constant: TensorProto. */
export interface Tensor extends Message {
  /** Its name. */
  readonly name: string;
  /** DataType of its elements. */
  readonly dataType: number;
  /** Lengths of the axes. */
  readonly dims: readonly number[];
  /** Where the elements are; undefined for a tensor without elements. */
  readonly payload?: Payload | undefined;
}

/** Where the elements of a tensor are. */
export type Payload =
  /** `raw_data` (field 9) or a packed `*_data` field, in memory or left in the model file. */
  | { readonly kind: 'inline'; readonly field: number; readonly piece: Uint8Array | ByteRange }
  | { readonly kind: 'strings'; readonly values: readonly Uint8Array[] }
  /** Little-endian elements in another file, relative to the model's folder. */
  | {
      readonly kind: 'external';
      readonly location: string;
      readonly offset: number;
      readonly length?: number;
    };

/** Declared type and shape of a value: ValueInfoProto. */
export interface ValueInfo extends Message {
  /** Name of the value. */
  readonly name: string;
  /** DataType of a tensor; undefined for sequences, maps, optionals and untyped values. */
  readonly elemType?: number | undefined;
  /** A number, a symbol, or undefined where nothing is said; absent when the rank is unknown. */
  readonly shape?: readonly (number | string | undefined)[] | undefined;
}

/** A model-local function: FunctionProto. */
export interface FunctionDef extends Message {
  /** What nodes call it by. */
  readonly name: string;
  /** Its domain. */
  readonly domain: string;
  /** Which overload. */
  readonly overload: string;
  /** Names of its inputs. */
  readonly inputs: readonly string[];
  /** Names of its outputs. */
  readonly outputs: readonly string[];
  /** Attribute parameters without a default. */
  readonly attributes: readonly string[];
  /** Attribute parameters with a default. */
  readonly attributeDefaults: readonly Attribute[];
  /** Its body, in order of execution. */
  readonly nodes: readonly Node[];
  /** Operator sets of its body. */
  readonly opsetImports: readonly OpsetImport[];
  /** As the file has it. */
  readonly docString?: string | undefined;
}

/** 'MatMul' in the default domain, 'com.microsoft.GroupQueryAttention' elsewhere. */
export function qualifiedOp(node: { domain: string; opType: string }): string {
  return node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
}
