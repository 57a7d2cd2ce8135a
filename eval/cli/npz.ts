/**
 * NumPy archives: a ZIP of .npy files, stored without compression. Formats: numpy.lib.format (version 1.0) and
 * PKWARE APPNOTE; numpy.load reads the result.
 */
import { crc32 } from 'node:zlib';
import { AttuneError } from '../../errors.ts';
import type { OrtTensor } from '../../hooks/session/index.ts';

const DESCRIPTIONS: Record<string, string> = {
  float32: '<f4',
  float64: '<f8',
  float16: '<f2',
  int64: '<i8',
  int32: '<i4',
  int8: '|i1',
  uint8: '|u1',
  bool: '|b1',
};

/** @throws AttuneError NPZ_TYPE for element types NumPy has no name for */
export function encodeNpz(tensors: Readonly<Record<string, OrtTensor>>): Uint8Array {
  const entries = Object.entries(tensors).map(([name, tensor]) => ({
    name: `${name}.npy`,
    data: encodeNpy(name, tensor),
  }));
  const parts: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const { name, data } of entries) {
    const label = new TextEncoder().encode(name);
    const shared = sharedFields(data, label.length);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), shared, label]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, tail, label]));
    parts.push(local, data);
    offset += local.length + data.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, directory, end]);
}

/** Fields common to the local and the central header, from "version needed" to the extra-field length. */
function sharedFields(data: Uint8Array, labelLength: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(0x800, 2); // names are UTF-8
  fields.writeUInt16LE(0x21, 8); // 1980-01-01: the archive depends on its content alone
  fields.writeUInt32LE(crc32(data), 10);
  fields.writeUInt32LE(data.length, 14);
  fields.writeUInt32LE(data.length, 18);
  fields.writeUInt16LE(labelLength, 22);
  return fields;
}

function encodeNpy(name: string, { type, dims, data }: OrtTensor): Uint8Array {
  const description = DESCRIPTIONS[type];
  if (!description) throw new AttuneError('NPZ_TYPE', { at: name, found: type, hint: 'Write it as JSON.' });
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ');
  const text = `{'descr': '${description}', 'fortran_order': False, 'shape': (${shape}), }`;
  const padding = 64 - ((10 + text.length + 1) % 64);
  const header = Buffer.from(`${text}${' '.repeat(padding)}\n`, 'latin1');
  const prefix = Buffer.from([
    0x93,
    ...Buffer.from('NUMPY', 'latin1'),
    1,
    0,
    header.length & 255,
    header.length >> 8,
  ]);
  const view = data as Float32Array;
  return Buffer.concat([prefix, header, new Uint8Array(view.buffer, view.byteOffset, view.byteLength)]);
}
