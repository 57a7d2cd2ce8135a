/**
 * Answers to yes-or-no questions. The papers' scripts read them in different ways, which move accuracy by points, so the
 * reading has a name:
 *
 *   words           ours: the first "yes", "no", "not", "cannot" or "…n't" decides, after saying that one does not know is left out ("I'm not
 *                   sure", "it cannot be told whether …"); an answer with none of them is unparsable
 *   first_sentence  POPE, LLaVA: up to the first full stop, without commas; "No", "no" or "not" is no, all else is yes
 *   whole_text      OPERA, PAI: the same of the whole text, and "NO" and "…n't" are no
 *   substring       VCD: looks for "yes" if yes is right, else for "no", anywhere in the text
 *
 * The three of the papers never say that they could not read an answer; `hasVerdict` does.
 */
export const YES_NO_PARSERS = ['words', 'first_sentence', 'whole_text', 'substring'] as const;
export type YesNoParser = (typeof YES_NO_PARSERS)[number];

const NO_WORDS = ['No', 'no', 'not'];
const verdictWords = /\b(yes|no|not|cannot)\b|\w+n['’]t\b/i;

/** What is done by one who can answer. */
const ANSWERING = [
  ...['know', 'tell', 'say', 'determine', 'decide', 'judge', 'answer', 'confirm', 'verify', 'conclude'],
  'be (?:sure|certain|known|told|said|determined|decided|judged|answered|confirmed|verified)',
  '(?:see|make out|recogni[sz]e|discern) (?:if|whether)',
].join('|');
const ADVERB = '(?:(?:\\w+ly|quite|very|so|too|even|yet) )?';

/**
 * Ways of saying that one does not know, each with the rest of its clause: what follows is what is not known ("whether there is
 * no dog"), and a "but" or a new clause may still decide.
 */
const abstention = new RegExp(
  `\\b(?:${[
    `(?:do|does|did)(?: not|n['’]t) ${ADVERB}(?:know|remember)`,
    `(?:can(?:not| not|['’]t)|could(?: not|n['’]t)|(?:un|not )able to|(?:not ${ADVERB}|im)possible to|no way to|(?:hard|difficult) to) ${ADVERB}(?:${ANSWERING})`,
    `(?:not|(?:is|are|was)n['’]t) ${ADVERB}(?:sure|certain|clear|obvious|evident|confident|known)`,
    `(?:not|isn['’]t) enough (?:information|context|details?)`,
    'no (?:idea|clue|way of (?:knowing|telling))',
  ].join('|')})\\b(?:(?!\\bbut\\b)[^.,;:!?\\n])*`,
  'gi',
);
/** Both at once are neither. */
const alternative = /\b(?:yes or no|no or yes|(?:whether )?or not)\b/gi;

const verdictIn = (answer: string): string | undefined =>
  verdictWords.exec(answer.replace(abstention, ' ').replace(alternative, ' '))?.[0];

/** Whether a reader could tell yes from no at all: one of the words yes, no, not, cannot, …n't decides. */
export const hasVerdict = (answer: string): boolean => verdictIn(answer) !== undefined;

/** @param label the right answer, which VCD's reading depends on @returns undefined where it says neither (words only) */
export function readYesNo(answer: string, parser: YesNoParser, label: boolean): boolean | undefined {
  switch (parser) {
    case 'words': {
      const word = verdictIn(answer);
      return word === undefined ? undefined : word.toLowerCase() === 'yes';
    }
    case 'first_sentence': {
      const words = answer.split('.')[0]!.replaceAll(',', '').split(' ');
      return !NO_WORDS.some((no) => words.includes(no));
    }
    case 'whole_text': {
      const words = answer.replaceAll('.', '').replaceAll(',', '').split(' ');
      return !words.some((word) => [...NO_WORDS, 'NO'].includes(word) || word.endsWith("n't"));
    }
    case 'substring': {
      const text = answer.toLowerCase();
      return label ? text.includes('yes') : !text.includes('no');
    }
  }
}

/** In the order of POPE's tables. */
export const YES_NO_METRICS = ['acc', 'precision', 'recall', 'f1', 'yes_rate'] as const;
