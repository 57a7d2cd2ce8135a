/** The parameters of a kind in words, from its schema: for messages, for --help, for lists. */
import { z } from 'zod';
import { AttuneError, nearest } from '../errors.ts';

/** A parameter of an intervention, in words. */
export interface Parameter {
  /** Its key. */
  readonly name: string;
  /** What may be given: 'a number > 0 or a list of …'. */
  readonly takes: string;
  /** Undefined where it has to be given. */
  readonly default: unknown;
  /** Whether it has to be given. */
  readonly required: boolean;
  /** What it means, from the schema. */
  readonly description: string | undefined;
  /** For those who make a form of it. */
  readonly schema: JsonSchema;
}

/** The part of JSON Schema that zod writes. */
export interface JsonSchema {
  /** 'object', 'array', 'string', 'number', 'integer', 'boolean' or 'null'. */
  readonly type?: string;
  /** What it means. */
  readonly description?: string;
  /** What stands where nothing is given. */
  readonly default?: unknown;
  /** The one value it takes. */
  readonly const?: unknown;
  /** The values it takes. */
  readonly enum?: readonly unknown[];
  /** Alternatives of which one has to fit. */
  readonly anyOf?: readonly JsonSchema[];
  /** Alternatives of which one fits. */
  readonly oneOf?: readonly JsonSchema[];
  /** Of every element of an array. */
  readonly items?: JsonSchema;
  /** Of the elements of a tuple, in order. */
  readonly prefixItems?: readonly JsonSchema[];
  /** Of an object, by key. */
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  /** Keys that have to be there. */
  readonly required?: readonly string[];
  /** Smallest number, taken itself. */
  readonly minimum?: number;
  /** Lower bound, not taken itself. */
  readonly exclusiveMinimum?: number;
  /** Largest number, taken itself. */
  readonly maximum?: number;
  /** Upper bound, not taken itself. */
  readonly exclusiveMaximum?: number;
}

/** Parameters of a schema, in its order. */
export function parametersOf(schema: z.ZodType): Parameter[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  }) as JsonSchema;
  return Object.entries(properties).map(([name, one]) => ({
    name,
    takes: takes(one),
    default: one.default,
    required: required.includes(name),
    description: one.description,
    schema: one,
  }));
}

/** One line for each parameter. */
export function parameterLines(schema: z.ZodType): string[] {
  return parametersOf(schema).map(({ name, takes: what, default: value, required, description }) => {
    const given = required
      ? 'required'
      : value === undefined
        ? 'optional'
        : `default ${JSON.stringify(value)}`;
    return `${name}: ${what}; ${given}${description ? `. ${description}` : ''}`;
  });
}

/** Bounds of what fits in 53 bits are not worth a word. */
const HUGE = Number.MAX_SAFE_INTEGER;

function takes(schema: JsonSchema): string {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return [...new Set(alternatives.map(takes))].join(' or ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' or ');
  if (schema.prefixItems) return `[${schema.prefixItems.map(takes).join(', ')}]`;
  if (schema.type === 'array') return `a list of (${schema.items ? takes(schema.items) : 'anything'})`;
  if (schema.type === 'number' || schema.type === 'integer') {
    return `${schema.type === 'number' ? 'a number' : 'a whole number'}${bounds(schema)}`;
  }
  if (schema.type === 'boolean') return 'true or false';
  if (schema.type === 'string') return 'a text';
  if (schema.properties) return `{ ${Object.keys(schema.properties).join(', ')} }`;
  return 'a value';
}

function bounds({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: JsonSchema): string {
  const signs: [number | undefined, string][] = [
    [minimum, '≥'],
    [exclusiveMinimum, '>'],
    [maximum, '≤'],
    [exclusiveMaximum, '<'],
  ];
  const given = signs.filter(([value]) => value !== undefined && Math.abs(value) < HUGE);
  return given.length === 0 ? '' : ` ${given.map(([value, sign]) => `${sign} ${value}`).join(' and ')}`;
}

/**
 * SPEC_INVALID for what a schema refused: the parameter, what was given, what may be given, and what it means.
 * @param name of the kind
 */
export function specInvalid(name: string, schema: z.ZodType, given: unknown, error: z.ZodError): AttuneError {
  const parameters = parametersOf(schema);
  const required = parameters.filter((one) => one.required).map((one) => one.name);
  // A name that is none is the likelier slip than one left out.
  const issue =
    error.issues.find(({ code, path }) => code === 'unrecognized_keys' && path.length === 0) ??
    error.issues[0];
  const hint = `attune interventions ${name} shows all parameters.`;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const shown = required.length > 0 ? `${required.join(', ')}, … }` : '… }';
    return new AttuneError('SPEC_INVALID', {
      at: name,
      found: shownValue(given),
      expected: `an object of parameters: { ${shown}`,
      hint,
      cause: error,
    });
  }
  if (issue?.code === 'unrecognized_keys' && issue.path.length === 0) {
    const names = parameters.map((one) => one.name);
    return new AttuneError('SPEC_INVALID', {
      at: name,
      found: `the parameter ${issue.keys.map((key) => `"${key}"`).join(', ')}, which it does not have`,
      expected: names.join(', '),
      hint: `Did you mean ${nearest(issue.keys[0]!, names, 1)[0] ?? 'none'}? ${hint}`,
      cause: error,
    });
  }
  const path = issue?.path ?? [];
  const parameter = parameters.find((one) => one.name === path[0]);
  const value = path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    given,
  );
  const said =
    issue && issue.code !== 'invalid_union' && !/^Invalid input/.test(issue.message) ? issue.message : '';
  return new AttuneError('SPEC_INVALID', {
    at: `${name}${path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')}`,
    found: `${shownValue(value)}${said && ` (${said})`}`,
    expected: parameter?.takes ?? 'what its schema allows',
    hint: `${parameter?.description ? `${parameter.name}: ${parameter.description}. ` : ''}${hint}`,
    cause: error,
  });
}

/** A value as it was written, cut where it is long. */
function shownValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`;
  if (typeof value === 'function') return 'a function';
  const text = JSON.stringify(value) ?? String(value);
  return `${typeof value === 'string' ? 'the text ' : ''}${text.length > 80 ? `${text.slice(0, 77)}…` : text}`;
}
