/** The entries that tasks of every output type have, and the kinds of entry that output types are made of. */
import { z } from 'zod';
import { hubSourceSchema } from '../data/hub.ts';
import { sourceSchema } from '../data/source.ts';
import { worldSourceSchema } from '../data/worlds.ts';
import type { MetricName } from '../metrics/index.ts';

export const template = z
  .string()
  .describe('Jinja over the fields, the constants and `source`, the stem of the file');
const fieldType = z.enum(['string', 'text', 'integer', 'number', 'boolean', 'list', 'object']);

export const listOf = (least: number) =>
  z
    .union([template, z.array(template).min(least)])
    .describe('a template each, or one template that renders a JSON list');

/** A prompt whose parts (documents, answers, options) could stand in any other order. */
export const segments = z.strictObject({
  prefix: template,
  parts: listOf(2),
  suffix: template,
});
export type SegmentTemplates = z.output<typeof segments>;

export const prompt = z
  .union([template, segments])
  .describe('a template, or prefix, interchangeable parts and suffix, which are joined');

const fieldSchema = z.union([
  fieldType,
  z.strictObject({
    type: fieldType,
    from: z.string().optional().describe('name in the record; default the field’s own'),
    split: z.string().min(1).optional().describe('list: cut a string here; empty pieces are dropped'),
  }),
]);

export const common = {
  name: z.string().regex(/^[a-z0-9][a-z0-9_.-]*$/, 'lower-case letters, digits, "-", "_" and "."'),
  description: z.string().optional(),
  source: z.union([sourceSchema, worldSourceSchema, hubSourceSchema]),
  fields: z.record(z.string().regex(/^[A-Za-z_]\w*$/, 'a Jinja name'), fieldSchema),
  constants: z.record(z.string(), z.json()).optional(),
  where: template.optional().describe('renders true or false: whether a record belongs to the task'),
  variants: z
    .record(z.string().regex(/^[A-Za-z_]\w*$/, 'a Jinja name'), z.array(z.json()).min(2))
    .refine((entries) => Object.keys(entries).length === 1, 'one name')
    .optional()
    .describe('name → values: every record becomes an item for each value, which templates read by the name'),
  split: z.string().default('test').describe('which part of the data set the file is'),
  id: template.optional().describe('default: file and line'),
  cluster: template.optional().describe('items with one key are resampled together'),
  slice: template.optional().describe('name of the part of the task an item belongs to'),
  shots: z
    .int()
    .positive()
    .optional()
    .describe('solved items of the same slice that stand before the prompt, drawn anew for each item'),
  image: template
    .optional()
    .describe('the picture a prompt is about: a path below the folder of images, or the id of a scene'),
  position: template.optional().describe('renders at which place the answer lies, a whole number'),
  delimiter: z.string().default(' ').describe('between the prompt and what is scored'),
};

export type FieldDefinition = z.output<typeof fieldSchema>;

/** Some of these metrics, each once. */
export const metricList = (names: readonly MetricName[]) =>
  z
    .array(z.enum(names as [MetricName, ...MetricName[]]))
    .min(1)
    .refine((list) => new Set(list).size === list.length, 'a metric twice');

/** Text that ends what is written. */
export const until = z
  .array(z.string().min(1))
  .default([])
  .describe('text that ends the answer; EOS always does');
