/**
 * Rows of a parquet file, row group by row group, as records of plain JSON values. The format is read by hyparquet (pure
 * JavaScript); Snappy is its own, gzip, Brotli and, where Node has it, Zstandard are Node's.
 */
import { existsSync } from 'node:fs';
import * as zlib from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { AttuneError } from '../../errors.ts';

export interface ParquetRow {
  fields: Record<string, unknown>;
  /** Number of the row, from 1. */
  line: number;
}

type Unpack = (bytes: Uint8Array) => Uint8Array;

/** Node ≥ 22.15 has it. */
const { zstdDecompressSync } = zlib as { zstdDecompressSync?: Unpack };

const compressors: Record<string, Unpack> = {
  GZIP: (bytes) => zlib.gunzipSync(bytes),
  BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
  ...(zstdDecompressSync && { ZSTD: (bytes: Uint8Array) => zstdDecompressSync(bytes) }),
};

/** @throws AttuneError DATA_FILE; DATA_PARQUET, which ends the reading: a row group is whole or nothing. */
export async function* parquetRows(path: string, name: string): AsyncGenerator<ParquetRow> {
  if (!existsSync(path)) {
    throw new AttuneError('DATA_FILE', { at: name, found: 'no such file', expected: 'a parquet file' });
  }
  const file = await asyncBufferFromFile(path);
  const metadata = await reading(name, () => parquetMetadataAsync(file));
  let row = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = row + Number(group.num_rows);
    const objects = await reading(`${name}:${row + 1}`, () =>
      parquetReadObjects({ file, metadata, rowStart: row, rowEnd, compressors }),
    );
    for (const object of objects) {
      row += 1;
      yield { fields: plain(object) as Record<string, unknown>, line: row };
    }
  }
}

async function reading<T>(at: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new AttuneError('DATA_PARQUET', {
      at,
      found,
      expected: 'a whole parquet file, uncompressed or in Snappy, gzip or Brotli (Zstandard from Node 22.15)',
      hint: 'Another compression: write the table again, for example with pandas, df.to_parquet(f, compression="snappy")',
      cause,
    });
  }
}

/** Integers of 64 bits as numbers where these hold them, else as text; times in ISO 8601; bytes stay bytes. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  }
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object' && !ArrayBuffer.isView(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}
