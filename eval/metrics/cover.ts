/** AMBER's Cover: of the annotated objects, those that are named. */
import { defineMetric, shareOfSome } from './metric.ts';

export const cover = defineMetric({
  name: 'cover',
  ...shareOfSome,
  of: { amber: ({ covered, annotated }) => [covered, annotated] },
});
