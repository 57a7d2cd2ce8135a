/** Where records come from: a local file and how to read it. Plain data, part of every task definition. */
import { z } from 'zod';
import { AttuneError, nearest } from '../../errors.ts';
import { joinSchema } from './joined.ts';
import { othersSchema } from './others.ts';

export const FORMATS = ['jsonl', 'json', 'csv', 'tsv', 'txt', 'document', 'parquet'] as const;
export type Format = (typeof FORMATS)[number];

const entries = z.strictObject({
  file: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe('path, or several read in turn, below the data folder'),
  format: z.enum(FORMATS).optional().describe('default: by the extension, without .gz'),
  select: z.string().optional().describe('json: dotted keys that lead to the array of records'),
  nested: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      'json: keys of arrays inside each record (or inside the one object of the file); each innermost element is a record, with the fields around it',
    ),
  columns: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      'csv, tsv: names where the file has no header; json, jsonl: of records that are arrays; txt: n lines a record',
    ),
  quote: z
    .union([z.boolean(), z.literal('unescaped')])
    .default(true)
    .describe(
      'csv, tsv: whether " starts a quoted field; "unescaped": yes, and quotes inside are not doubled',
    ),
  aligned: z
    .record(z.string(), z.string())
    .optional()
    .describe('jsonl, txt: field name → file whose line k belongs to line k of `file`'),
  join: joinSchema.optional().describe('fields of another file, found by a key'),
  others: othersSchema.optional().describe('other records of the source beside each record'),
  blockLines: z.int().positive().optional().describe('document: lines a record; default the whole file'),
});

export const sourceSchema = entries.refine(
  ({ file, aligned }) => !aligned || typeof file === 'string',
  '"aligned" goes with one file, not with a list',
);

export type Source = z.infer<typeof sourceSchema>;

const EXTENSIONS: Record<string, Format> = {
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  csv: 'csv',
  tsv: 'tsv',
  txt: 'txt',
  lst: 'txt',
  parquet: 'parquet',
};

/** @throws AttuneError DATA_FORMAT for an unknown extension. */
export function formatOf(file: string, declared?: Format): Format {
  if (declared) return declared;
  const extension = file.replace(/\.gz$/, '').split('.').at(-1)?.toLowerCase() ?? '';
  const format = EXTENSIONS[extension];
  if (!format) {
    throw new AttuneError('DATA_FORMAT', {
      at: file,
      found: `the extension ".${extension}"`,
      expected: `${Object.keys(EXTENSIONS).join(', ')}, all but parquet also with .gz`,
      hint: `Set "format" in the task's source; nearest: ${nearest(extension, Object.keys(EXTENSIONS), 1)}`,
    });
  }
  return format;
}
