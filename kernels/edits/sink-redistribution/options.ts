/** Which rows may change, and how they are selected. */

export type Redistribution = {
  /**
   * 'code' selects as the released code does: the sinks' share is at most 1 − ρ, with 1e-6 per visual token in its
   * denominator, and only where a visual sink exists.
   */
  readonly semantics: 'paper' | 'code';
  /** Rows that may change: those from the knob `rows_from` on, or without that knob all that are not visual themselves. */
  readonly rows?: 'text';
};
