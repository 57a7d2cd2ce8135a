/** AMBER of a file of responses: descriptions (generative part) and yes-or-no answers (discriminative parts). */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { hasVerdict, readYesNo, YES_NO_METRICS } from '../answers/yes-no.ts';
import { AMBER_METRICS, type AmberWords, amberVocabulary, scoreAmber } from '../captions/amber.ts';
import { readJson } from '../data/json-file.ts';
import { place } from '../data/records.ts';
import { termsOf } from '../metrics/index.ts';
import { oneIf } from '../metrics/metric.ts';
import { byKey, fieldOf, readAll } from './records.ts';
import { rowTerms, type ScoredItem, type ScoredSet, together } from './scored-set.ts';

const entry = { id: z.number(), type: z.string() };
const annotations = z.array(
  z.union([
    z.looseObject({ ...entry, truth: z.array(z.string()), hallu: z.array(z.string()) }),
    z.looseObject({ ...entry, truth: z.enum(['yes', 'no']), hallu: z.undefined().optional() }),
  ]),
);
const relation = z.record(z.string(), z.array(z.string()));

/** Parts of AMBER by the types in its annotations. */
const PARTS: readonly (readonly [part: string, types: RegExp])[] = [
  ['existence', /^discriminative-hallucination$/],
  ['attribute', /^discriminative-attribute/],
  ['relation', /^(discriminative-)?relation$/],
];

export interface AmberFiles {
  annotations: string;
  relation: string;
  safeWords: string;
}

/**
 * @param path `{id, response}` for any of AMBER's queries
 * @returns a set for each part that has responses. AMBER's positive class is "no": a no to what is not there is a catch.
 * @throws AttuneError DATA_*, ANNOTATION_FORMAT, ANNOTATION_MISSING
 */
export async function scoreAmberFile(
  path: string,
  files: AmberFiles,
  safeWords: readonly string[],
): Promise<ScoredSet[]> {
  const truth = new Map(readAs(annotations, files.annotations).map((one) => [one.id, one]));
  const words: AmberWords = { relation: readAs(relation, files.relation), safe: safeWords };
  const vocabulary = amberVocabulary(words);
  const responses = (await readAll(path)).map((record) => ({
    key: fieldOf(record, ['id', 'question_id'], 'key'),
    text: fieldOf(record, ['response', 'answer', 'text'], 'text'),
    at: place(record),
  }));
  byKey(responses);
  const descriptions: ScoredItem[] = [];
  const answers = new Map<string, { items: ScoredItem[]; unparsable: number }>();
  for (const { key, text, at } of responses) {
    const known = truth.get(Number(key));
    if (!known) {
      throw new AttuneError('ANNOTATION_MISSING', {
        at,
        found: `a response to ${key}`,
        expected: `an id of ${files.annotations}`,
      });
    }
    if (known.hallu !== undefined) {
      const amber = scoreAmber(text, known, words, vocabulary);
      const { nouns, hallucinated } = amber;
      const terms = rowTerms(termsOf(AMBER_METRICS, { amber }));
      descriptions.push({ id: key, terms, details: { nouns, hallucinated } });
      continue;
    }
    const part = PARTS.find(([, types]) => types.test(known.type))?.[0] ?? known.type;
    const list = answers.get(part) ?? { items: [], unparsable: 0 };
    answers.set(part, list);
    const said = readYesNo(text, 'words', known.truth === 'yes');
    list.unparsable += hasVerdict(text) ? 0 : 1;
    const caught = said === undefined ? undefined : !said;
    const terms = termsOf(YES_NO_METRICS, { yesNo: { said: caught, label: known.truth === 'no' } });
    const details = { answer: text, said: said ?? null, label: known.truth === 'yes' };
    list.items.push({ id: key, terms: rowTerms({ ...terms, yes_rate: oneIf(said === true) }), details });
  }
  const nouns = descriptions.reduce((sum, { terms }) => sum + terms.amber_chair![1], 0);
  const described: ScoredSet = {
    name: 'generative',
    metrics: AMBER_METRICS,
    items: descriptions,
    counts: { descriptions: descriptions.length, nouns },
  };
  const answered = [...new Set([...PARTS.map(([part]) => part), ...answers.keys()])].flatMap(
    (name): ScoredSet[] => {
      const { items, unparsable } = answers.get(name) ?? { items: [], unparsable: 0 };
      return items.length > 0
        ? [{ name, metrics: YES_NO_METRICS, items, counts: { questions: items.length, unparsable } }]
        : [];
    },
  );
  return [
    ...(descriptions.length > 0 ? [described] : []),
    ...answered,
    ...(answered.length > 1 ? [together('discriminative', answered)] : []),
  ];
}

function readAs<T extends z.ZodType>(schema: T, path: string): z.output<T> {
  const result = schema.safeParse(readJson(path));
  if (result.success) return result.data;
  throw new AttuneError('ANNOTATION_FORMAT', {
    at: path,
    found: result.error.issues[0]?.message,
    expected: "AMBER's own layout",
    cause: result.error,
  });
}
