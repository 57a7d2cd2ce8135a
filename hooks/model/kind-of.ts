/** Values in words, for messages about arguments of the wrong kind. */
import type { InterventionKind } from './intervention.ts';

/** What a value is, in the words of someone who wrote it. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'function') {
    const { kind } = value as { kind?: InterventionKind };
    return kind
      ? `the function that makes ${kind.name}, not called`
      : `a function${value.name && ` (${value.name})`}`;
  }
  if (typeof value === 'string') return `the text ${JSON.stringify(value)}`;
  if (typeof value !== 'object') return `${typeof value} ${String(value)}`;
  const { kind } = value as { kind?: InterventionKind };
  if (kind?.plan) return `one intervention (${kind.name})`;
  return `an object with ${Object.keys(value).slice(0, 5).join(', ') || 'nothing in it'}`;
}
