/**
 * The one error type of attune: a code, what was found, what was expected, where, and what to do about it.
 * Every code has a section in docs/errors.md; a test checks that none is missing there.
 */

/** What an AttuneError says beside its code. */
export interface ErrorDetails {
  /** What was met, in the user's terms. */
  found?: string | undefined;
  /** What would have been accepted. */
  expected?: string | undefined;
  /** Where: node name, file and line, layer and head, byte offset. */
  at?: string | undefined;
  /** What the user can do now. */
  hint?: string | undefined;
  /** The error that led to this one. */
  cause?: unknown;
}

/**
 * The one error type of attune. Its message is a sentence made of the code, what was found, what was expected, where,
 * and what to do;
 * docs/errors.md has a section for every code.
 *
 * @example
 * ```ts
 * try { model.use([act({ heads: [[99, 0]] })]); } catch (error) {
 *   if (isAttuneError(error, 'LAYER_OUT_OF_RANGE')) console.log(error.found, error.expected);
 * }
 * ```
 */
export class AttuneError extends Error {
  /** Which error it is, such as HOOK_UNKNOWN. */
  readonly code: string;
  /** What was met, in the user's terms. */
  readonly found: string | undefined;
  /** What would have been accepted. */
  readonly expected: string | undefined;
  /** Where: node name, file and line, layer and head, byte offset. */
  readonly at: string | undefined;
  /** What to do now. */
  readonly hint: string | undefined;

  /** @param code - one of those in docs/errors.md */
  constructor(code: string, details: ErrorDetails = {}) {
    super(sentence(code, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'AttuneError';
    this.code = code;
    this.found = details.found;
    this.expected = details.expected;
    this.at = details.at;
    this.hint = details.hint;
  }

  /** The error as plain data, for logs and for answers of a server. */
  toJSON() {
    const { code, message, found, expected, at, hint } = this;
    return { code, message, found, expected, at, hint };
  }
}

/**
 * Whether an error is attune's, and of the given code where one is named.
 *
 * @example
 * ```ts
 * try { zeroTuning({ gamma: -1 }); } catch (error) {
 *   if (isAttuneError(error, 'SPEC_INVALID')) console.log(error.at, error.hint);
 * }
 * ```
 */
export function isAttuneError(error: unknown, code?: string): error is AttuneError {
  return error instanceof AttuneError && (code === undefined || error.code === code);
}

function sentence(code: string, { found, expected, at, hint }: ErrorDetails): string {
  const parts = [`${code}:`];
  if (at) parts.push(`at ${at}:`);
  if (found) parts.push(`found ${found}`);
  if (expected) parts.push(`${found ? 'but ' : ''}expected ${expected}`);
  if (!hint) return parts.join(' ');
  return parts.length === 1 ? `${code}: ${hint}` : `${parts.join(' ')}. ${hint}`;
}

/** The candidates closest to `name` by edit distance, nearest first; for "did you mean" hints. */
export function nearest(name: string, candidates: Iterable<string>, count = 3): string[] {
  return [...candidates]
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** Letters to insert, delete, replace or swap with their neighbour to come from one name to the other. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? before[j - 2]! + 1 : Infinity;
      row[j] = Math.min(substitution, previous[j]! + 1, row[j - 1]! + 1, swap);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
