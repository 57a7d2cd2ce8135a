/**
 * An ONNX file as a tree of protobuf fields that may be changed at will and written back, wrong lengths and types included.
 * A reader of its own: what attune's reader would not let through must be writable here. Fields: onnx.proto of ONNX 1.19.
 */

export type Kind =
  | ('model' | 'graph' | 'node' | 'attribute' | 'tensor' | 'sparse' | 'function' | 'opset')
  | ('entry' | 'value' | 'type' | 'tensorType' | 'shape' | 'dim');

export interface Message {
  readonly kind: Kind;
  fields: Field[];
}

export interface Field {
  number: number;
  wire: number;
  /** A varint's number, bytes, or a message of a kind that is known. */
  value: bigint | Uint8Array | Message;
  /** The length written in place of the right one. */
  length?: bigint;
}

const MESSAGES: Readonly<Record<Kind, Readonly<Record<number, Kind>>>> = {
  model: { 7: 'graph', 8: 'opset', 14: 'entry', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 11: 'value', 12: 'value', 13: 'value', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  tensor: { 13: 'entry' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 9: 'opset', 11: 'attribute' },
  value: { 2: 'type' },
  type: { 1: 'tensorType' },
  tensorType: { 2: 'shape' },
  shape: { 1: 'dim' },
  opset: {},
  entry: {},
  dim: {},
};

const TEXTS: Readonly<Partial<Record<Kind, readonly number[]>>> = {
  model: [2, 3, 4, 6],
  graph: [2],
  node: [1, 2, 3, 4, 7, 8],
  attribute: [1, 21],
  tensor: [8],
  value: [1],
  dim: [2],
  entry: [1, 2],
  function: [1, 4, 5, 6, 8, 10, 13],
  opset: [1],
};

export const isMessage = (value: Field['value']): value is Message =>
  typeof value === 'object' && 'kind' in value;

/** Fields of a message that hold text. */
export const texts = (message: Message): Field[] =>
  message.fields.filter(
    ({ number, value }) => TEXTS[message.kind]?.includes(number) && value instanceof Uint8Array,
  );

/** The message and all below it. */
export function messages(message: Message, kind?: Kind): Message[] {
  const below = message.fields.flatMap(({ value }) => (isMessage(value) ? messages(value) : []));
  return [message, ...below].filter((one) => kind === undefined || one.kind === kind);
}

export const text = (of: string): Uint8Array => new TextEncoder().encode(of);

/** @param bytes of a sound file */
export function parse(bytes: Uint8Array, kind: Kind = 'model'): Message {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number) => {
    at += length;
    return bytes.slice(at - length, at);
  };
  const fields: Field[] = [];
  while (at < bytes.length) {
    const tag = Number(varint());
    const [number, wire] = [tag >>> 3, tag & 7];
    if (wire === 0) fields.push({ number, wire, value: varint() });
    else if (wire !== 2) fields.push({ number, wire, value: take(wire === 1 ? 8 : 4) });
    else {
      const body = take(Number(varint()));
      const inner = MESSAGES[kind][number];
      fields.push({ number, wire, value: inner ? parse(body, inner) : body });
    }
  }
  return { kind, fields };
}

export function encode({ fields }: Message): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { number, wire, value, length } of fields) {
    parts.push(varintBytes(BigInt(number) * 8n + BigInt(wire)));
    if (typeof value === 'bigint') {
      parts.push(varintBytes(value));
      continue;
    }
    const body = isMessage(value) ? encode(value) : value;
    if (wire === 2) parts.push(varintBytes(length ?? BigInt(body.length)));
    parts.push(body);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function varintBytes(of: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, of);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}
