/**
 * 2 P R / (P + R): of the words of a written answer against the best of the right ones (SQuAD), of yes-or-no answers with yes as
 * the positive class (POPE), of the objects that captions name. The last two are micro-averages: 2 found / (named + there).
 */
import { wordF1 } from '../answers/answer.ts';
import { defineMetric, shareOfSome } from './metric.ts';
import { bestOf } from './outcomes.ts';

export const f1 = defineMetric({
  name: 'f1',
  ...shareOfSome,
  of: {
    written: (outcome) => [bestOf(outcome, wordF1), 1],
    yesNo: ({ said, label }) => [said && label ? 2 : 0, Number(said === true) + Number(label)],
    caption: ({ found, named, there }) => [2 * found, named + there],
  },
});
