/**
 * Jinja templates that refuse unknown names. Jinja renders an undefined variable as nothing, which in a prompt is a
 * silent error; here the names a template reads are compared with the names it will be given, before any record is read.
 */
import { AttuneError, nearest } from '../../errors.ts';
import { parseTemplate, renderBounded } from './bounded-template.ts';

export type Render = (values: Record<string, unknown>) => string;

/** Names every template may read. */
const GLOBALS = ['loop', 'range', 'namespace', 'true', 'false', 'none', 'True', 'False', 'None'];

/**
 * @param names the variables the template will be given.
 * @param at what messages call the template.
 * @throws AttuneError TASK_TEMPLATE for bad syntax, an unknown name, or (from the result) a failed rendering.
 */
export function compileTemplate(text: string, names: Iterable<string>, at: string): Render {
  const known = [...names];
  const failed = (error: unknown) =>
    new AttuneError('TASK_TEMPLATE', {
      at,
      found: (error as Error).message,
      expected: 'a Jinja template',
      cause: error,
    });
  let program: ReturnType<typeof parseTemplate>;
  let reads: Set<string>;
  try {
    program = parseTemplate(text);
    reads = namesRead(program);
  } catch (error) {
    throw failed(error);
  }
  for (const name of reads) {
    if (known.includes(name) || GLOBALS.includes(name)) continue;
    throw new AttuneError('TASK_TEMPLATE', {
      at,
      found: `the name "${name}"`,
      expected: known.join(', '),
      hint: `Declare it under "fields"; nearest: ${nearest(name, known, 1)}`,
    });
  }
  // Only what the template reads: the engine wraps every value it is given, however large.
  const given = known.filter((name) => reads.has(name));
  return (values) => {
    try {
      return renderBounded(program, Object.fromEntries(given.map((name) => [name, values[name]])));
    } catch (error) {
      throw failed(error);
    }
  };
}

type Node = { type: string } & Record<string, unknown>;

const isNode = (value: unknown): value is Node =>
  value !== null && typeof value === 'object' && typeof (value as Node).type === 'string';

/** Free names of a syntax tree. A name bound anywhere (for, set, macro) counts as bound everywhere. */
function namesRead(tree: unknown): Set<string> {
  const read = new Set<string>();
  const bound = new Set<string>();
  const bind = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(bind);
    else if (isNode(value) && value.type === 'Identifier') bound.add(value.value as string);
    else if (isNode(value) && value.type === 'TupleLiteral') bind(value.value);
  };
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (value instanceof Map) for (const [key, entry] of value) visit([key, entry]);
    if (!isNode(value)) return;
    const { type, ...children } = value;
    if (type === 'Identifier') read.add(value.value as string);
    if (type === 'For') bind(value.loopvar);
    if (type === 'Set') bind(value.assignee);
    if (type === 'Macro') bind([value.name, value.args]);
    if (type === 'MemberExpression' && !value.computed) delete children.property;
    if (type === 'KeywordArgumentExpression') delete children.key;
    if (type === 'TestExpression') delete children.test;
    // The words and, or, not are tokens of the type of names.
    if (type === 'BinaryExpression' || type === 'UnaryExpression') delete children.operator;
    if (type === 'FilterExpression' || type === 'FilterStatement') {
      const filter = value.filter as Node;
      children.filter = filter.type === 'CallExpression' ? filter.args : undefined;
    }
    Object.values(children).forEach(visit);
  };
  visit(tree);
  return new Set([...read].filter((name) => !bound.has(name)));
}
