/** Partitioned attention: mathematics (reference), detection, and lowerings as data. See README.md. */
export * from './detect/index.ts';
export { defineEdit, type Edit, type EditKnob, type EditRow, type EditState } from './edits/edit.ts';
export * from './edits/index.ts';
export { knobsOf, statesOf } from './lowerings/edits.ts';
export {
  type ExpandedOptions,
  type ExpandedSite,
  expandedAttention,
  type HeadLayout,
  type HeadValue,
} from './lowerings/expanded.ts';
export {
  type GroupQuerySite,
  type OpenedSite,
  openGroupQueryAttention,
} from './lowerings/group-query-attention.ts';
export type { Knob, Lowered, State, Tap } from './lowerings/lowered.ts';
