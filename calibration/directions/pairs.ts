/** Pairs of texts that differ in what a direction shall be of: one JSON object a line, { "positive": …, "negative": … }. */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';

/** Two texts that differ in what a direction shall be of. */
export interface TextPair {
  /** The text that has more of it. */
  readonly positive: string;
  /** The text that has less of it. */
  readonly negative: string;
}

const pair = z.strictObject({ positive: z.string().min(1), negative: z.string().min(1) });

/**
 * Pairs of texts from JSON lines.
 *
 * @example const pairs = readPairs('{"positive": "I love it", "negative": "I hate it"}\n…', 'mood.jsonl');
 * @param from what to name in errors
 * @throws AttuneError PAIRS_INVALID with the line
 */
export function readPairs(text: string, from: string): TextPair[] {
  const pairs = text.split('\n').flatMap((line, i): TextPair[] => {
    if (line.trim() === '') return [];
    return [pairOf(line, `${from}, line ${i + 1}`)];
  });
  if (pairs.length >= 2) return pairs;
  throw invalid(from, `${pairs.length} pairs`, 'at least 2');
}

function pairOf(line: string, at: string): TextPair {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw invalid(at, (cause as Error).message, 'a JSON object');
  }
  const parsed = pair.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const keys =
    typeof json === 'object' && json !== null ? Object.keys(json).join(', ') || 'nothing' : typeof json;
  throw invalid(
    at,
    `${keys} (${issue?.path.join('.') || 'object'}: ${issue?.message})`,
    'positive and negative, two texts',
  );
}

function invalid(at: string, found: string, expected: string): AttuneError {
  return new AttuneError('PAIRS_INVALID', {
    at,
    found,
    expected,
    hint: 'One line for each pair: {"positive": "…", "negative": "…"}.',
  });
}
