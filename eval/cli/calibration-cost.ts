/** What attune calibrate --dry-run says: measurements, and their time by the pace of the baseline on a few items. */
import {
  type CalibrationItem,
  type Method,
  type SearchCost,
  Sweep,
  searchCost,
  splitItems,
} from '../../calibration/index.ts';
import type { CalibrationModel } from './calibration-model.ts';

export interface MeasuredCost extends SearchCost {
  samples: number;
  heldOut: number;
  /** Of all measurements, if each took what the baseline takes on an item of its own; edits take more, rows of a batch less. */
  seconds: number;
}

/** Items that are timed. */
const TIMED = 8;

/** @throws AttuneError CALIBRATION_TOO_FEW, SPEC_INVALID, LAYER_OUT_OF_RANGE */
export async function measuredCost(
  { model, session }: Pick<CalibrationModel, 'model' | 'session'>,
  items: readonly CalibrationItem[],
  method: Method,
  split: Parameters<typeof splitItems>[1],
): Promise<MeasuredCost> {
  const { search, heldOut } = splitItems(items, split);
  const { facts } = model.attune;
  const cost = searchCost(facts, method, { search: search.length, heldOut: heldOut.length });
  await using sweep = new Sweep(facts, { session });
  // The first run makes the session.
  const [first, ...timed] = search.slice(0, TIMED + 1) as [CalibrationItem, ...CalibrationItem[]];
  await sweep.run([first], [undefined]);
  const begin = performance.now();
  await sweep.run(timed, [undefined]);
  const seconds = ((performance.now() - begin) / 1000 / timed.length) * cost.measurements;
  return { ...cost, samples: search.length, heldOut: heldOut.length, seconds };
}

export const costText = ({ settings, measurements, samples, heldOut, seconds }: MeasuredCost): string =>
  `${settings} settings on ${samples} items, ${heldOut} held out: ${measurements.toLocaleString('en')} measurements, about ${seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`} at the baseline's pace\n`;
