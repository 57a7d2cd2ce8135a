/** From a record to an item: a task's templates, its choices and its right answer. */
import { AttuneError } from '../../errors.ts';
import { placePicture } from '../data/pictures.ts';
import { type DataRecord, place, stem } from '../data/records.ts';
import { vocabularySource } from '../metrics/vocabulary-of.ts';
import type { SegmentTemplates, Task } from './definition.ts';
import { fieldsOf } from './fields.ts';
import type { Item, Option, Segments } from './item.ts';
import { compileTemplate, type Render } from './template.ts';

/** Where what items refer to lies. */
export interface ItemFolders {
  /** Of the data. */
  root: string;
  /** Of the pictures. */
  images: string;
}

/**
 * The task's templates compiled once; the result turns a record into its items: one, or one for each variant, or none
 * where the record is not of the task.
 * @throws AttuneError TASK_TEMPLATE; from the result also DATA_FIELD_MISSING, DATA_FIELD_TYPE, DATA_CHOICES, DATA_TARGET.
 */
export function itemMaker(
  task: Task,
  folders: ItemFolders = { root: '', images: '' },
): (record: DataRecord) => Item[] {
  const constants = task.constants ?? {};
  const [variant, variants] = Object.entries(task.variants ?? {})[0] ?? [];
  const names = [
    ...Object.keys(task.fields),
    ...Object.keys(constants),
    ...(variant ? [variant] : []),
    'source',
  ];
  const compile: Compile = (entry, text, more = []) =>
    compileTemplate(text, [...names, ...more], `task ${task.name}, "${entry}"`);
  const optional = (entry: 'where' | 'id' | 'cluster' | 'slice' | 'position' | 'image') =>
    task[entry] === undefined ? undefined : compile(entry, task[entry]);
  const where = optional('where');
  const id = optional('id');
  const cluster = optional('cluster');
  const slice = optional('slice');
  const position = optional('position');
  const image = optional('image');
  const body = bodyMaker(task, compile, folders);

  const toItem = (values: Values, at: string): Item[] => {
    if (where && !truth(where(values).trim(), at)) return [];
    const own = id ? id(values) : at;
    const several = variant !== undefined && {
      id: `${own}/${variant}=${text(values[variant])}`,
      record: own,
      cluster: own,
    };
    return [
      {
        id: own,
        at,
        ...several,
        ...(cluster && { cluster: cluster(values) }),
        ...(slice && { slice: slice(values) }),
        ...(position && { position: positionOf(position(values).trim(), at) }),
        ...(image && { picture: placePicture(image(values).trim(), folders.images, at) }),
        ...body(values, at),
      },
    ];
  };
  return (record) => {
    const values = { ...constants, ...fieldsOf(record, task.fields), source: stem(record.file) };
    const at = place(record);
    if (variant === undefined) return toItem(values, at);
    return variants!.flatMap((value) => toItem({ ...values, [variant]: value }, at));
  };
}

type Compile = (entry: string, text: string, more?: readonly string[]) => Render;

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function truth(rendered: string, at: string): boolean {
  if (/^true$/i.test(rendered)) return true;
  if (/^false$/i.test(rendered)) return false;
  throw new AttuneError('DATA_FIELD_TYPE', {
    at,
    found: `"${rendered.slice(0, 80)}" from the template "where"`,
    expected: 'true or false',
  });
}

function positionOf(rendered: string, at: string): number {
  if (/^\d+$/.test(rendered)) return Number(rendered);
  throw new AttuneError('DATA_FIELD_TYPE', {
    at,
    found: `the position "${rendered.slice(0, 80)}"`,
    expected: 'a whole number',
  });
}

type Values = Record<string, unknown>;
type Body = Item extends infer T
  ? T extends Item
    ? Omit<T, 'id' | 'at' | 'cluster' | 'slice' | 'position' | 'picture'>
    : never
  : never;

function bodyMaker(task: Task, compile: Compile, folders: ItemFolders): (values: Values, at: string) => Body {
  const { output, delimiter } = task;
  const target = compile('target', task.target);
  if (output === 'loglikelihood_rolling') return (values) => ({ output, text: target(values) });
  if (output === 'pairwise') return pairwiseMaker(task, compile, target);
  if (output === 'loglikelihood') {
    const prompt = promptMaker(task.prompt, compile);
    return (values, at) => ({ output, ...prompt(values, at), continuation: delimiter + target(values) });
  }
  if (output === 'generate_until') {
    const prompt = promptMaker(task.prompt, compile);
    const { until, maxTokens, answer: rule, targetIs } = task;
    return (values, at) => {
      const rendered = target(values);
      const answers = targetIs === 'list' ? parseList(rendered, at) : [rendered];
      if (answers.every((answer) => answer.trim() === '')) {
        throw new AttuneError('DATA_TARGET', { at, found: 'no answer with text', expected: 'at least one' });
      }
      return { output, ...prompt(values, at), until, maxTokens, answers, rule };
    };
  }
  if (output === 'yes_no' || output === 'caption') return pictureBodyMaker(task, compile, target, folders);
  const prompts = [task.prompt].flat().map((prompt) => promptMaker(prompt, compile));
  const choices = listMaker('choices', task.choices, compile);

  return (values, at) => {
    const made = prompts.map((prompt) => prompt(values, at));
    const contexts = made.map(({ context }) => context);
    const options = pair(contexts, choices(values, at), at).map(
      ({ context, text }): Option => ({ context, continuation: delimiter + text, text }),
    );
    const { segments } = made[0]!;
    const rendered = target(values).trim();
    const right = task.targetIs === 'indices' ? indicesOf(rendered, options, at) : undefined;
    const gold = right ? right[0]! : goldOf(task.targetIs as 'index' | 'text', rendered, options, at);
    const { positive } = task;
    return {
      output,
      options,
      ...(segments && { segments }),
      ...(positive !== undefined && { positive }),
      gold,
      ...(right && { right }),
    };
  };
}

function pictureBodyMaker(
  task: Task & { output: 'yes_no' | 'caption' },
  compile: Compile,
  target: Render,
  { root }: ItemFolders,
): (values: Values, at: string) => Body {
  const prompt = compile('prompt', task.prompt);
  const { until, maxTokens } = task;
  if (task.output === 'yes_no') {
    const { output, parser } = task;
    return (values, at) => {
      const label = target(values).trim().toLowerCase();
      if (label !== 'yes' && label !== 'no') {
        throw new AttuneError('DATA_TARGET', { at, found: `the target "${label}"`, expected: 'yes or no' });
      }
      return { output, context: prompt(values), until, maxTokens, parser, label: label === 'yes' };
    };
  }
  const { output } = task;
  const vocabulary = vocabularySource(task.vocabulary, root);
  const imagined = task.imagined === undefined ? undefined : compile('imagined', task.imagined);
  return (values, at) => ({
    output,
    context: prompt(values),
    until,
    maxTokens,
    objects: parseList(target(values), at),
    imagined: imagined ? parseList(imagined(values), at) : [],
    vocabulary,
  });
}

/** A list of templates, or one template that renders a JSON list. */
function listMaker(
  entry: string,
  templates: string | readonly string[],
  compile: Compile,
  more?: readonly string[],
) {
  if (typeof templates === 'string') {
    const list = compile(entry, templates, more);
    return (values: Values, at: string) => parseList(list(values), at);
  }
  const each = templates.map((template) => compile(entry, template, more));
  return (values: Values) => each.map((one) => one(values));
}

interface Prompt {
  context: string;
  segments?: Segments;
}

/** @throws (from the result) AttuneError DATA_SEGMENTS */
function promptMaker(
  prompt: string | SegmentTemplates,
  compile: Compile,
  more?: readonly string[],
): (values: Values, at: string) => Prompt {
  if (typeof prompt === 'string') {
    const context = compile('prompt', prompt, more);
    return (values) => ({ context: context(values) });
  }
  const piece: Compile = (entry, text, names) => compile(entry, keepingLineEnd(text), names);
  const [prefix, suffix] = [prompt.prefix, prompt.suffix].map((text) => piece('prompt', text, more));
  const parts = listMaker('prompt', prompt.parts, piece, more);
  return (values, at) => {
    const segments = { prefix: prefix!(values), parts: parts(values, at), suffix: suffix!(values) };
    refuseEmpty(segments, at);
    return { context: segments.prefix + segments.parts.join('') + segments.suffix, segments };
  };
}

/** Jinja drops one line end at the end of a template; what is joined to other text needs it. */
const keepingLineEnd = (template: string): string =>
  template.endsWith('\n') ? `${template}{{ '' }}` : template;

/** The suffix asks the question, which no part may do; what stands before the parts is the same for all of them. */
function refuseEmpty({ prefix, parts, suffix }: Segments, at: string): void {
  const fault =
    parts.length < 2
      ? `${parts.length} parts`
      : prefix === ''
        ? 'an empty prefix'
        : suffix.trim() === ''
          ? 'an empty suffix'
          : parts.includes('')
            ? `an empty part (${parts.indexOf('')})`
            : undefined;
  if (fault === undefined) return;
  throw new AttuneError('DATA_SEGMENTS', {
    at,
    found: fault,
    expected: 'a prompt of a prefix, at least two parts and a suffix, each with text',
  });
}

function pairwiseMaker(
  { candidates, prompt, choices, delimiter }: Task & { output: 'pairwise' },
  compile: Compile,
  target: Render,
): (values: Values, at: string) => Body {
  const answers = candidates.map((candidate) => compile('candidates', candidate));
  const labels = choices.map((choice) => compile('choices', choice));
  const ask = promptMaker(prompt, compile, ['first', 'second']);
  return (values, at) => {
    const [one, two] = answers.map((answer) => answer(values)) as [string, string];
    const shown = (first: string, second: string) => {
      const { context, ...cut } = ask({ ...values, first, second }, at);
      const options = labels.map((label): Option => {
        const text = label(values);
        return { context, continuation: delimiter + text, text };
      });
      return { options, ...cut };
    };
    const given = shown(one, two);
    const gold = goldOf('index', target(values).trim(), given.options, at);
    return {
      output: 'pairwise',
      orders: [
        { ...given, gold },
        { ...shown(two, one), gold: 1 - gold },
      ],
    };
  };
}

function parseList(rendered: string, at: string): string[] {
  try {
    const list: unknown = JSON.parse(rendered);
    if (Array.isArray(list))
      return list.map((entry) => (typeof entry === 'string' ? entry : JSON.stringify(entry)));
  } catch {
    // Reported below with what was rendered, which says more than the parser's message.
  }
  throw new AttuneError('DATA_CHOICES', {
    at,
    found: `"${rendered.slice(0, 80)}"`,
    expected: 'a JSON list of choices',
    hint: 'End the template with "| tojson"',
  });
}

/** One prompt serves all choices; several prompts take one choice each, or share the only one. */
function pair(contexts: string[], texts: string[], at: string): { context: string; text: string }[] {
  const n = Math.max(contexts.length, texts.length);
  const fits = [contexts, texts].every(({ length }) => length === n || length === 1);
  if (n < 2 || texts.length === 0 || !fits || texts.includes('')) {
    throw new AttuneError('DATA_CHOICES', {
      at,
      found: texts.includes('')
        ? 'an empty choice'
        : `${texts.length} choices for ${contexts.length} prompts`,
      expected:
        contexts.length > 1 ? `1 or ${contexts.length} choices with text` : 'at least 2 choices with text',
    });
  }
  return Array.from({ length: n }, (_, i) => ({
    context: contexts[contexts.length === 1 ? 0 : i] as string,
    text: texts[texts.length === 1 ? 0 : i] as string,
  }));
}

/** Some of the options, not all: choosing among right ones alone says nothing. */
function indicesOf(rendered: string, options: Option[], at: string): number[] {
  let list: unknown;
  try {
    list = JSON.parse(rendered);
  } catch {
    list = undefined;
  }
  const fits =
    Array.isArray(list) &&
    list.length > 0 &&
    list.length < options.length &&
    new Set(list).size === list.length &&
    list.every((index) => Number.isInteger(index) && index >= 0 && index < options.length);
  if (fits) return list as number[];
  throw new AttuneError('DATA_TARGET', {
    at,
    found: `the target "${rendered.slice(0, 80)}"`,
    expected: `a JSON list of some, not all, of the indices from 0 to ${options.length - 1}`,
  });
}

function goldOf(targetIs: 'index' | 'text', rendered: string, options: Option[], at: string): number {
  const gold =
    targetIs === 'text'
      ? options.findIndex(({ text }) => text === rendered)
      : /^\d+$/.test(rendered)
        ? Number(rendered)
        : -1;
  if (gold >= 0 && gold < options.length) return gold;
  throw new AttuneError('DATA_TARGET', {
    at,
    found: `the target "${rendered.slice(0, 80)}"`,
    expected:
      targetIs === 'text'
        ? `one of ${options.map(({ text }) => `"${text}"`).join(', ')}`.slice(0, 200)
        : `an index from 0 to ${options.length - 1}`,
  });
}
