/** Of the questions where yes is right, those answered yes; of the objects that are there, those that captions name. */
import { defineMetric, shareOfSome } from './metric.ts';

export const recall = defineMetric({
  name: 'recall',
  ...shareOfSome,
  of: {
    yesNo: ({ said, label }) => [said && label ? 1 : 0, Number(label)],
    caption: ({ found, there }) => [found, there],
  },
});
