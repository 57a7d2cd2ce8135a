/** From a record to an item: a task's templates, its choices and its right answer. */
import { AttuneError } from '../../errors.ts';
import { type DataRecord, place, stem } from '../data/records.ts';
import type { Task } from './definition.ts';
import { fieldsOf } from './fields.ts';
import type { Item, Option } from './item.ts';
import { compileTemplate, type Render } from './template.ts';

/**
 * The task's templates compiled once; the result turns a record into its items: one, or one for each variant, or none
 * where the record is not of the task.
 * @throws AttuneError TASK_TEMPLATE; from the result also DATA_FIELD_MISSING, DATA_FIELD_TYPE, DATA_CHOICES, DATA_TARGET.
 */
export function itemMaker(task: Task): (record: DataRecord) => Item[] {
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
  const optional = (entry: 'where' | 'id' | 'cluster' | 'slice' | 'position') =>
    task[entry] === undefined ? undefined : compile(entry, task[entry]);
  const where = optional('where');
  const id = optional('id');
  const cluster = optional('cluster');
  const slice = optional('slice');
  const position = optional('position');
  const body = bodyMaker(task, compile);

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
    ? Omit<T, 'id' | 'at' | 'cluster' | 'slice' | 'position'>
    : never
  : never;

function bodyMaker(task: Task, compile: Compile): (values: Values, at: string) => Body {
  const { output, delimiter } = task;
  const target = compile('target', task.target);
  if (output === 'loglikelihood_rolling') return (values) => ({ output, text: target(values) });
  if (output === 'pairwise') return pairwiseMaker(task, compile, target);
  const prompts = [task.prompt].flat().map((text) => compile('prompt', text));
  if (output === 'loglikelihood') {
    const [prompt] = prompts as [Render];
    return (values) => ({ output, context: prompt(values), continuation: delimiter + target(values) });
  }
  if (output === 'generate_until') {
    const [prompt] = prompts as [Render];
    const { until, maxTokens, answer: rule, targetIs } = task;
    return (values, at) => {
      const rendered = target(values);
      const answers = targetIs === 'list' ? parseList(rendered, at) : [rendered];
      if (answers.every((answer) => answer.trim() === '')) {
        throw new AttuneError('DATA_TARGET', { at, found: 'no answer with text', expected: 'at least one' });
      }
      return { output, context: prompt(values), until, maxTokens, answers, rule };
    };
  }
  const list = typeof task.choices === 'string' ? compile('choices', task.choices) : undefined;
  const each = list ? [] : [task.choices].flat().map((text) => compile('choices', text));

  return (values, at) => {
    const texts = list ? parseList(list(values), at) : each.map((choice) => choice(values));
    const options = pair(
      prompts.map((prompt) => prompt(values)),
      texts,
      at,
    ).map(({ context, text }): Option => ({ context, continuation: delimiter + text, text }));
    return { output, options, gold: goldOf(task.targetIs, target(values).trim(), options, at) };
  };
}

function pairwiseMaker(
  { candidates, prompt, choices, delimiter }: Task & { output: 'pairwise' },
  compile: Compile,
  target: Render,
): (values: Values, at: string) => Body {
  const answers = candidates.map((candidate) => compile('candidates', candidate));
  const labels = choices.map((choice) => compile('choices', choice));
  const ask = compile('prompt', prompt, ['first', 'second']);
  return (values, at) => {
    const [one, two] = answers.map((answer) => answer(values)) as [string, string];
    const optionsOf = (first: string, second: string): Option[] => {
      const context = ask({ ...values, first, second });
      return labels.map((label) => {
        const text = label(values);
        return { context, continuation: delimiter + text, text };
      });
    };
    const given = optionsOf(one, two);
    const gold = goldOf('index', target(values).trim(), given, at);
    return {
      output: 'pairwise',
      orders: [
        { options: given, gold },
        { options: optionsOf(two, one), gold: 1 - gold },
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
