/** What output types make of a record with a task's templates: prompts, lists, and which of several is right. */
import { AttuneError } from '../../errors.ts';
import type { Option, Prompt, Segments } from './item.ts';
import type { SegmentTemplates } from './schema.ts';
import type { Render } from './template.ts';

/** What templates read: the record's fields, constants, the variant's value. */
export type Scope = Record<string, unknown>;

/**
 * A template of an entry of the task, compiled.
 * @param more names that it may read besides those of every template
 * @throws AttuneError TASK_TEMPLATE
 */
export type Compile = (entry: string, text: string, more?: readonly string[]) => Render;

/** A list of templates, or one template that renders a JSON list. */
export function listMaker(
  entry: string,
  templates: string | readonly string[],
  compile: Compile,
  more?: readonly string[],
) {
  if (typeof templates === 'string') {
    const list = compile(entry, templates, more);
    return (values: Scope, at: string) => parseList(list(values), at);
  }
  const each = templates.map((template) => compile(entry, template, more));
  return (values: Scope) => each.map((one) => one(values));
}

/** @throws (from the result) AttuneError DATA_SEGMENTS */
export function promptMaker(
  prompt: string | SegmentTemplates,
  compile: Compile,
  more?: readonly string[],
): (values: Scope, at: string) => Prompt {
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

/** @throws AttuneError DATA_CHOICES */
export function parseList(rendered: string, at: string): string[] {
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

/** @throws AttuneError DATA_TARGET */
export function goldOf(
  targetIs: 'index' | 'text',
  rendered: string,
  options: readonly Option[],
  at: string,
): number {
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
