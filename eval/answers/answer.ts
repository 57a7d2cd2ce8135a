/**
 * Written answers against right ones: what is extracted, what does not count, and three ways to compare. Normalisation
 * with all of case, punctuation, articles and space, and f1, are those of SQuAD 1.1's own evaluation (Rajpurkar et al.).
 */
import { z } from 'zod';

const regularExpression = z.string().refine(isRegularExpression, 'a regular expression');

/** How a written answer is compared with the right ones. */
export const answerSchema = z.strictObject({
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

/** The part of the text that is the answer; undefined when nothing matches. */
export function extractAnswer(text: string, { extract, take }: AnswerRule): string | undefined {
  if (extract === undefined) return text;
  const match = [...text.matchAll(new RegExp(extract, 'gu'))].at(take === 'first' ? 0 : -1);
  if (!match) return undefined;
  return (match.length > 1 ? match.slice(1).find((group) => group) : match[0])?.trim();
}

/** Python's string.punctuation. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

export function normaliseAnswer(text: string, { remove, ignore }: AnswerRule): string {
  let normal = remove.reduce((left, pattern) => left.replace(new RegExp(pattern, 'gu'), ''), text);
  if (ignore.includes('case')) normal = normal.toLowerCase();
  if (ignore.includes('punctuation')) normal = normal.replace(PUNCTUATION, '');
  if (ignore.includes('articles')) normal = normal.replace(/\b(a|an|the)\b/g, ' ');
  return ignore.includes('space') ? words(normal).join(' ') : normal;
}

/** 2 P R / (P + R) over the words of both, counted as often as they occur. */
export function wordF1(answer: string, right: string): number {
  const [given, wanted] = [words(answer), words(right)];
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of given) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    shared += 1;
    left.set(word, count - 1);
  }
  return shared === 0 ? 0 : (2 * shared) / (given.length + wanted.length);
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');
