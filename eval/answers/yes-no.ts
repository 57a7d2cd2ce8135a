/**
 * Answers to yes-or-no questions. The papers' scripts read them in different ways, which move accuracy by points, so the
 * reading has a name:
 *
 *   words           ours: the first "yes", "no", "not" or "…n't" decides; an answer with none of them is unparsable
 *   first_sentence  POPE, LLaVA: up to the first full stop, without commas; "No", "no" or "not" is no, all else is yes
 *   whole_text      OPERA, PAI: the same of the whole text, and "NO" and "…n't" are no
 *   substring       VCD: looks for "yes" if yes is right, else for "no", anywhere in the text
 *
 * The three of the papers never say that they could not read an answer; `hasVerdict` does.
 */
export const YES_NO_PARSERS = ['words', 'first_sentence', 'whole_text', 'substring'] as const;
export type YesNoParser = (typeof YES_NO_PARSERS)[number];

const NO_WORDS = ['No', 'no', 'not'];
const verdictWords = /\b(yes|no|not)\b|\w+n['’]t\b/i;

/** Whether a reader could tell yes from no at all: one of the words yes, no, not, …n't occurs. */
export const hasVerdict = (answer: string): boolean => verdictWords.test(answer);

/** @param label the right answer, which VCD's reading depends on @returns undefined where it says neither (words only) */
export function readYesNo(answer: string, parser: YesNoParser, label: boolean): boolean | undefined {
  switch (parser) {
    case 'words': {
      const word = verdictWords.exec(answer)?.[0];
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
