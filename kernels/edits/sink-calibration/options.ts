/** How sinks are found. */

/**
 * From the rows of this call ('chunk'), from all rows so far ('running', with column sums and counts as states), from those
 * of the first call ('frozen'; or given, as a knob), or in each row by itself ('row').
 */
export type Statistics = 'chunk' | 'running' | 'frozen' | 'row';

export type Calibration = {
  readonly stats: Statistics;
  /** The key that is no sink: the first real one, or the first one found. */
  readonly exclude: 'initial' | 'first_detected';
};
