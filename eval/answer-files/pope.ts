/** POPE of files of answers: each answer meets its question by id, or by place where answers have no ids. */
import { AttuneError } from '../../errors.ts';
import { hasVerdict, readYesNo, YES_NO_METRICS, type YesNoParser } from '../answers/yes-no.ts';
import { type DataRecord, place } from '../data/records.ts';
import { termsOf } from '../metrics/index.ts';
import { imageKey } from './image-key.ts';
import { byKey, fieldOf, readAll } from './records.ts';
import { rowTerms, type ScoredItem, type ScoredSet } from './scored-set.ts';

/**
 * @param answers `{question_id, answer | text | response}`, or in the order of the questions without ids
 * @param questions POPE's own file: `{question_id, image, text, label}`
 * @throws AttuneError DATA_*, ANSWER_UNMATCHED for an answer without its question or the other way round
 */
export async function scoreAnswerFile(
  answers: string,
  questions: string,
  parser: YesNoParser,
): Promise<ScoredSet> {
  const asked = (await readAll(questions)).map(questionOf);
  const byId = byKey(asked);
  const given = await readAll(answers);
  const ordered = given.every(({ fields }) => fields.question_id === undefined);
  if (given.length !== asked.length) {
    throw unmatched(
      answers,
      `${given.length} answers`,
      `${asked.length}, one for each question of ${questions}`,
    );
  }
  const keyed = given.map((record, i) => ({
    key: ordered ? asked[i]!.key : fieldOf(record, ['question_id'], 'key'),
    text: fieldOf(record, ['answer', 'text', 'response'], 'text'),
    at: place(record),
    record,
  }));
  byKey(keyed);
  let unparsable = 0;
  const items = keyed.map(({ key, text, at, record }): ScoredItem => {
    const question = byId.get(key);
    if (!question) throw unmatched(at, `an answer to question ${key}`, `a question of ${questions}`);
    refuseOther(record, question.text, at);
    const said = readYesNo(text, parser, question.label);
    unparsable += hasVerdict(text) ? 0 : 1;
    return {
      id: question.key,
      cluster: question.image,
      terms: rowTerms(termsOf(YES_NO_METRICS, { yesNo: { said, label: question.label } })),
      details: { answer: text, said: said ?? null, label: question.label },
    };
  });
  const counts = {
    questions: items.length,
    images: new Set(items.map(({ cluster }) => cluster)).size,
    unparsable,
  };
  return { name: answers, metrics: YES_NO_METRICS, items, counts };
}

function questionOf(record: DataRecord) {
  const label = fieldOf(record, ['label'], 'text').toLowerCase();
  if (label !== 'yes' && label !== 'no') {
    throw new AttuneError('DATA_TARGET', {
      at: place(record),
      found: `the label "${label}"`,
      expected: 'yes or no',
    });
  }
  return {
    key: fieldOf(record, ['question_id'], 'key'),
    image: imageKey(fieldOf(record, ['image'], 'key')),
    text: fieldOf(record, ['text'], 'text'),
    label: label === 'yes',
    at: place(record),
  };
}

/** Answers often repeat what they answer; another question is a sign that the files do not belong together. */
function refuseOther(record: DataRecord, question: string, at: string): void {
  const repeated = record.fields.question ?? record.fields.prompt;
  if (typeof repeated !== 'string' || repeated.includes(question)) return;
  throw unmatched(at, `an answer to "${repeated.slice(0, 80)}"`, `"${question}"`);
}

const unmatched = (at: string, found: string, expected: string): AttuneError =>
  new AttuneError('ANSWER_UNMATCHED', {
    at,
    found,
    expected,
    hint: 'Give each answer the "question_id" of its question, and each split its own file',
  });
