/** From a record of the file to the typed fields a task declares: present, of the right type, under the task's names. */
import { AttuneError, nearest } from '../../errors.ts';
import { type DataRecord, place } from '../data/records.ts';
import type { FieldDefinition } from './schema.ts';

/**
 * Text cells become integers, numbers and booleans where a field says so, and these become text; nothing else is
 * converted.
 * @throws AttuneError DATA_FIELD_MISSING, DATA_FIELD_TYPE, each with file, line and field.
 */
export function fieldsOf(
  record: DataRecord,
  definitions: Record<string, FieldDefinition>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(definitions).map(([name, definition]) => {
      const { type, from = name, split } = typeof definition === 'string' ? { type: definition } : definition;
      const value = record.fields[from];
      if (value === undefined || value === null) throw missing(record, from, value);
      const typed = convert(value, type, split);
      if (typed === undefined) {
        throw new AttuneError('DATA_FIELD_TYPE', {
          at: place(record),
          found: `${JSON.stringify(value).slice(0, 80)} in the field "${from}"`,
          expected:
            split && type === 'list' ? 'a string to split' : `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`,
        });
      }
      return [name, typed];
    }),
  );
}

/** undefined where the value is not of the type. */
function convert(value: unknown, type: string, split?: string): unknown {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : undefined;
    case 'text':
      return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined;
    case 'integer': {
      const number = numeric(value);
      return Number.isSafeInteger(number) ? number : undefined;
    }
    case 'number':
      return numeric(value);
    case 'boolean':
      if (typeof value === 'boolean') return value;
      return value === 'true' ? true : value === 'false' ? false : undefined;
    case 'object':
      return typeof value === 'object' && !Array.isArray(value) ? value : undefined;
    default:
      if (split === undefined) return Array.isArray(value) ? value : undefined;
      return typeof value === 'string' ? pieces(value, split) : undefined;
  }
}

function numeric(value: unknown): number | undefined {
  const number =
    typeof value === 'number'
      ? value
      : typeof value === 'string' && value.trim() !== ''
        ? Number(value)
        : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

const pieces = (value: string, split: string): string[] =>
  value
    .split(split)
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '');

function missing(record: DataRecord, name: string, value: null | undefined): AttuneError {
  const present = Object.keys(record.fields);
  return new AttuneError('DATA_FIELD_MISSING', {
    at: place(record),
    found: value === null ? `null in the field "${name}"` : `the fields ${present.join(', ') || '(none)'}`,
    expected: `a value in the field "${name}"`,
    hint: value === null || !present.length ? undefined : `Nearest: ${nearest(name, present, 1)}`,
  });
}
