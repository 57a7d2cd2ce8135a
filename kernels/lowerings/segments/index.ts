/**
 * Position-invariant attention over interchangeable documents (PINE, Wang et al., arXiv 2407.01100) and the baselines of
 * its paper as a lowering.
 */
export { afterDocuments } from './after.ts';
export { type AmongOptions, amongDocuments } from './among.ts';
export {
  documentLayout,
  type Layout,
  type LayoutInputs,
  layoutOfSeveral,
  MODES,
  type Mode,
} from './layout.ts';
export { type Rotary, shiftTables } from './rotate.ts';
export type { SegmentedSite, SegmentValue, Written } from './site.ts';
