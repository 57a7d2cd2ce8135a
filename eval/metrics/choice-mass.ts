/**
 * The probability that the model gives to the options together, Σ p(option | prompt): small where they are ranked among texts that it
 * would not write. Options of one prompt, none of which begins another; items with a prompt for each option are left out.
 */
import { defineMetric, partialShare } from './metric.ts';
import { isRanked } from './outcomes.ts';

export const choiceMass = defineMetric({
  name: 'choice_mass',
  ...partialShare,
  better: 'neither',
  of: {
    choices(outcome) {
      const { options, conditional } = outcome;
      if (!isRanked(outcome) || options.some(({ context }) => context !== options[0]!.context))
        return undefined;
      return [conditional.reduce((sum, l) => sum + Math.exp(l), 0), 1];
    },
  },
});
