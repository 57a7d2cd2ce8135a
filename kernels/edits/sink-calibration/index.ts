/**
 * Attention calibration (Yu et al., arXiv 2406.15765): keys that attract too much attention on average, never the first,
 * keep the share β of their weight; the other keys of a row get the rest in proportion.
 *
 *   score_t = Σ_s P_st / (rows that see t)        sink: score_t > τ + α / (number of keys)
 *   P'_st = β P_st on sinks,  P_st (1 + (1 − β) P_S / P_N) elsewhere
 *
 * with P_S and P_N a row's weight on sinks and on the rest, P and score as they are before any edit of probabilities.
 */
import type { Emit } from '../../../onnx/emitter.ts';
import { addRunning } from '../../lowerings/functions/columns.ts';
import { type Call, defineEdit, type EditKnob, type Found, type NativeForm } from '../edit.ts';
import * as detect from './detect.ts';
import type { Calibration, Statistics } from './options.ts';
import { calibrateRow, pastCounts } from './row.ts';
import { solveCalibration } from './solve.ts';
import { calibrateKeys, calibrateMap, correction } from './transfer.ts';

const BETA: EditKnob = {
  name: 'beta',
  axes: ['B', 'H'],
  neutral: 1,
  doc: 'Share of their weight sinks keep; 1 leaves a head alone.',
};
const SINKS: EditKnob = {
  name: 'sinks',
  axes: ['B', 'H|1', 'T|1'],
  neutral: 0,
  doc: '1 at the sinks of each head.',
};
const DETECTION: readonly EditKnob[] = [
  { name: 'tau', axes: ['B', 'H|1'], neutral: 0, doc: 'Absolute threshold on a key’s mean weight.' },
  {
    name: 'alpha',
    axes: ['B', 'H|1'],
    neutral: 0,
    doc: 'Threshold as a multiple of the uniform weight; added to tau.',
  },
  { name: 'first', axes: ['B'], neutral: 0, type: 'int64', doc: 'Column of the first real token.' },
];

/** Does it take all rows of a call to find the sinks? */
const acrossRows = (stats: Statistics): boolean => stats === 'chunk' || stats === 'running';

/** ACT: sinks keep the share β of their weight, other keys get the rest in proportion. */
export const sinkCalibration = defineEdit<Calibration>({
  kind: 'sink-calibration',
  stage: 'probabilities',
  reference: 'ACT, arXiv 2406.15765; code GATECH-EIC/ACT',
  knobs: ({ stats }) => [BETA, ...(stats === 'frozen' ? [SINKS] : DETECTION)],
  states: ({ stats }) =>
    stats === 'running'
      ? [
          { name: 'column_sum', heads: 'H' },
          { name: 'column_count', heads: 1 },
        ]
      : [],
  kept: (options, given) =>
    options.stats === 'frozen' && !given.has('sinks')
      ? { name: 'sinks', first: { ...options, stats: 'chunk' }, later: options }
      : undefined,
  derived: ({ stats }, call): Record<string, string> =>
    stats === 'running' ? { past_column_count: pastCounts(call) } : {},
  solve: solveCalibration,
  /** Of given sinks: found ones may differ at the threshold between float32 and float64. */
  random({ B, H, T, tensor, uniform }) {
    // Of few sinks outputs are made from those before, of many from the edited map.
    const share = uniform() < 0.5 ? 0.1 : 0.005;
    const beta = uniform();
    return {
      options: { stats: 'frozen', exclude: 'initial' },
      values: {
        beta: tensor([1, H], () => (uniform() < 0.7 ? beta : 1)),
        sinks: tensor([B, H, T], () => Number(uniform() < share)),
      },
    };
  },
  finds: ({ stats }) => (acrossRows(stats) ? ['sinks', 'score'] : []),
  find: findSinks,
  pattern({ stats, exclude }, call) {
    const beta = call.value('beta');
    const byKey = (emit: Emit, pattern: string, sinks: string) => {
      const perRow = emit('Unsqueeze', [beta, emit.ints(2, 3)]); // [B|1, H, 1, 1]
      return calibrateKeys(emit, { pattern, sinks, beta: perRow }, 3);
    };
    if (stats === 'row') {
      const form = exclude === 'initial' ? detect.rowSinksInitial : detect.rowSinksFirstDetected;
      const seen = call.keysSeen();
      const [first, tau, alpha] = ['first', 'tau', 'alpha'].map(call.value) as [string, string, string];
      return (block, pattern) => {
        const [sinks] = block.emit.call(form, pattern, seen(block), block.start, first, tau, alpha);
        return byKey(block.emit, pattern, sinks!);
      };
    }
    const frozen = stats === 'frozen' ? call.overKeys('sinks', 1, 1) : undefined;
    return (block, pattern, found) => {
      const { emit } = block;
      const sinks = (frozen ?? found?.values.sinks)!;
      if (block.only) return byKey(emit, pattern, emit('Unsqueeze', [sinks, emit.ints(2)]));
      return emit.call(calibrateMap, pattern, block.cutKeys(sinks, 2), beta)[0]!;
    };
  },
  correct: (_options, emit, call, { values }) => correction(emit, values.sinks!, call.value('beta')),
  row: calibrateRow,
  native: nativeForm,
});

/** What the native operator calls the ways of finding sinks. */
const NATIVE_STATISTICS = { running: 1, frozen: 2, row: 3 } as const;

function nativeForm({ stats, exclude }: Calibration, given: ReadonlySet<string>): NativeForm | undefined {
  if (stats === 'chunk' || given.has('sinks')) return undefined;
  const state = { running: 'column_sum', frozen: 'sinks', row: undefined }[stats];
  return {
    attributes: {
      statistics: NATIVE_STATISTICS[stats],
      first_detected: Number(exclude === 'first_detected'),
    },
    inputs: {
      ...Object.fromEntries(['beta', 'tau', 'alpha', 'first'].map((name) => [name, name])),
      ...(state && { state: `past_${state}` }),
      ...(stats === 'running' && { counts: 'past_column_count' }),
    },
    state,
  };
}

/** Sinks from the statistics of all rows. */
function findSinks({ stats, exclude }: Calibration, emit: Emit, call: Call, columnSums: string): Found {
  const running = (name: string, now: string) =>
    stats === 'running' ? emit.call(addRunning, call.value(`past_${name}`), now, call.T)[0]! : now;
  const sums = running('column_sum', columnSums);
  const counts = running('column_count', call.countRows(emit));
  const form = exclude === 'initial' ? detect.sinksInitial : detect.sinksFirstDetected;
  const [first, tau, alpha] = ['first', 'tau', 'alpha'].map(call.value) as [string, string, string];
  const [sinks, score] = emit.call(form, sums, counts, call.countKeys(emit), first, call.T, tau, alpha);
  return {
    values: { sinks: sinks!, score: score! },
    states: stats === 'running' ? { column_sum: sums, column_count: counts } : {},
  };
}
