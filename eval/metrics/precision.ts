/** Of the answers that were yes, those where yes is right; of the objects that captions name, those that are there. */
import { defineMetric, shareOfSome } from './metric.ts';

export const precision = defineMetric({
  name: 'precision',
  ...shareOfSome,
  of: {
    yesNo: ({ said, label }) => [said && label ? 1 : 0, Number(said === true)],
    caption: ({ found, named }) => [found, named],
  },
});
