/**
 * What a task is: data that says where its records come from, how a record becomes text to score, and which metrics
 * hold. Words follow lm-evaluation-harness (output types, metrics, delimiter); templates are Jinja.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { hubSourceSchema } from '../data/hub.ts';
import { sourceSchema } from '../data/source.ts';
import { worldSourceSchema } from '../data/worlds.ts';
import { AMBER_METRICS } from '../metrics/amber.ts';
import { CAPTION_METRICS } from '../metrics/chair.ts';
import { YES_NO_METRICS, YES_NO_PARSERS } from '../metrics/yes-no.ts';

const template = z
  .string()
  .describe('Jinja over the fields, the constants and `source`, the stem of the file');
const fieldType = z.enum(['string', 'text', 'integer', 'number', 'boolean', 'list', 'object']);

const listOf = (least: number) =>
  z
    .union([template, z.array(template).min(least)])
    .describe('a template each, or one template that renders a JSON list');

/** A prompt whose parts (documents, answers, options) could stand in any other order. */
const segments = z.strictObject({
  prefix: template,
  parts: listOf(2),
  suffix: template,
});
export type SegmentTemplates = z.output<typeof segments>;

const prompt = z
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

const common = {
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

export const MULTIPLE_CHOICE_METRICS = [
  ...(['acc', 'acc_norm', 'acc_bytes', 'acc_mutual_info', 'mc2'] as const),
  ...(['precision', 'recall', 'f1', 'yes_rate'] as const),
] as const;
/** Metrics for which one choice is the positive one. */
const POSITIVE_METRICS: readonly string[] = ['precision', 'recall', 'f1', 'yes_rate'];
export const LOGLIKELIHOOD_METRICS = ['acc', 'perplexity'] as const;
export const GENERATION_METRICS = ['exact_match', 'contains', 'f1', 'length'] as const;
export const PAIRWISE_METRICS = ['pair_acc', 'pair_acc_strict', 'consistency', 'first_rate'] as const;
export const ROLLING_METRICS = ['word_perplexity', 'byte_perplexity', 'bits_per_byte'] as const;

const regularExpression = z.string().refine(isRegularExpression, 'a regular expression');

/** How a written answer is compared with the right ones. */
const answerSchema = z.strictObject({
  extract: regularExpression
    .optional()
    .describe('the answer is what this matches (its first group that took part); no match: unparsable'),
  take: z.enum(['first', 'last']).default('first').describe('which match'),
  remove: z.array(regularExpression).default([]).describe('taken out of both sides'),
  ignore: z
    .array(z.enum(['case', 'punctuation', 'articles', 'space']))
    .default(['space'])
    .describe('differences that do not count'),
});
export type AnswerRule = z.output<typeof answerSchema>;

function isRegularExpression(text: string): boolean {
  try {
    return new RegExp(text, 'u') instanceof RegExp;
  } catch {
    return false;
  }
}

const metrics = <const T extends readonly string[]>(names: T) =>
  z
    .array(z.enum(names))
    .min(1)
    .refine((list) => new Set(list).size === list.length, 'a metric twice');

export const taskSchema = z.discriminatedUnion('output', [
  z.strictObject({
    output: z.literal('multiple_choice'),
    ...common,
    prompt: z
      .union([template, segments, z.array(template).min(2)])
      .describe('one for all choices, or one for each choice'),
    choices: listOf(1),
    target: template.describe('renders the right choice, or a JSON list of the indices of right ones'),
    targetIs: z.enum(['index', 'text', 'indices']).default('index'),
    positive: z
      .int()
      .nonnegative()
      .optional()
      .describe('index of the choice that is a yes; precision, recall, f1 and yes_rate need it'),
    metrics: metrics(MULTIPLE_CHOICE_METRICS),
  }),
  z.strictObject({
    output: z.literal('loglikelihood'),
    ...common,
    prompt,
    target: template.describe('the continuation'),
    metrics: metrics(LOGLIKELIHOOD_METRICS),
  }),
  z.strictObject({
    output: z.literal('generate_until'),
    ...common,
    prompt,
    target: template.describe('the right answer, or a JSON list of right answers'),
    targetIs: z.enum(['text', 'list']).default('text'),
    until: z.array(z.string().min(1)).default([]).describe('text that ends the answer; EOS always does'),
    maxTokens: z.int().positive(),
    answer: answerSchema.prefault({}),
    metrics: metrics(GENERATION_METRICS),
  }),
  z.strictObject({
    output: z.literal('yes_no'),
    ...common,
    prompt: template,
    target: template.describe('renders yes or no'),
    parser: z.enum(YES_NO_PARSERS).default('words').describe('how the written answer is read'),
    until: z.array(z.string().min(1)).default([]),
    maxTokens: z.int().positive().default(16),
    metrics: metrics(YES_NO_METRICS),
  }),
  z.strictObject({
    output: z.literal('caption'),
    ...common,
    shots: z.undefined().optional(),
    prompt: template,
    target: template.describe('renders a JSON list of the objects that are there'),
    imagined: template
      .optional()
      .describe('renders a JSON list of objects that annotators expected to be imagined (cog)'),
    vocabulary: z
      .union([
        z.array(z.array(z.string().min(1)).min(1)).min(1),
        z.strictObject({ synonyms: z.string().min(1) }),
        z.strictObject({ relation: z.string().min(1), safeWords: z.string().min(1) }),
      ])
      .describe(
        'which words are objects: rows of a name and its synonyms, a file of them, or AMBER’s relations and safe words',
      ),
    until: z.array(z.string().min(1)).default([]),
    maxTokens: z.int().positive(),
    metrics: metrics([...CAPTION_METRICS, ...AMBER_METRICS.filter((name) => name !== 'length')]),
  }),
  z.strictObject({
    output: z.literal('pairwise'),
    ...common,
    candidates: z.tuple([template, template]).describe('the two answers to judge'),
    prompt: prompt.describe('reads also `first` and `second`, the candidates in the order they are shown in'),
    choices: z
      .tuple([template, template])
      .describe('what is scored for "the first is better" and "the second is better"'),
    target: template.describe('renders the index of the better candidate'),
    metrics: metrics(PAIRWISE_METRICS),
  }),
  z.strictObject({
    output: z.literal('loglikelihood_rolling'),
    ...common,
    target: template.describe('the text whose perplexity is taken'),
    metrics: metrics(ROLLING_METRICS),
  }),
]);

/** What one entry asks of another. */
const checkedSchema = taskSchema.superRefine((task, context) => {
  const refuse = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message });
  if (task.output === 'multiple_choice' && task.positive === undefined) {
    const needing = task.metrics.find((name) => POSITIVE_METRICS.includes(name));
    if (needing) refuse('metrics', `${needing} needs "positive", the index of the choice that is a yes`);
  }
  if (task.output === 'caption') {
    const own = task.metrics.find(
      (name) => (AMBER_METRICS as readonly string[]).includes(name) && name !== 'length',
    );
    if (own && !('relation' in task.vocabulary)) refuse('metrics', `${own} needs AMBER’s vocabulary`);
  }
  if (task.image === undefined) return;
  if (task.shots !== undefined) refuse('shots', 'a prompt about a picture has no examples before it');
  const single = 'prompt' in task && typeof task.prompt === 'string' && task.output !== 'pairwise';
  if (!single || task.output === 'loglikelihood')
    refuse('image', 'a picture goes with one prompt that is one template');
});

export type Task = z.output<typeof taskSchema>;
export type TaskDefinition = z.input<typeof taskSchema>;
export type FieldDefinition = z.output<typeof fieldSchema>;
export type Metric = Task['metrics'][number];

/**
 * @param at what messages call the definition; default its name.
 * @throws AttuneError TASK_INVALID naming the entry and what was expected there.
 */
export function defineTask(definition: unknown, at?: string): Task {
  const parsed = checkedSchema.safeParse(definition);
  if (parsed.success) return parsed.data;
  const name = (definition as { name?: unknown } | null | undefined)?.name;
  throw new AttuneError('TASK_INVALID', {
    at: at ?? (typeof name === 'string' ? `task ${name}` : 'a task'),
    found: z.prettifyError(parsed.error).replaceAll('\n', ' '),
    expected: 'a task definition',
    hint: 'docs/tasks.md shows one with every entry explained',
    cause: parsed.error,
  });
}
