/** Calibration from items to a choice: split, search by sweeps, and an estimate on items that the search has not seen. */
import { AttuneError } from '../errors.ts';
import type { Intervention, ModelFacts } from '../hooks/model/index.ts';
import { sha256 } from '../onnx/sha256.ts';
import type { HeldOut } from './profile.ts';
import { type ActSearch, searchAct } from './search/act.ts';
import { race, roundsOf } from './search/halving.ts';
import { type CalibrationItem, meanValue, type Objective } from './search/objective.ts';
import type { Evaluate, SearchContext, SearchResult } from './search/search.ts';
import { type SplitOptions, splitItems } from './search/split.ts';
import { searchZeroTuning, type ZeroTuningSearch } from './search/zerotuning.ts';
import type { Measurement } from './sweep/measure.ts';
import { Sweep, type SweepOptions } from './sweep/sweep.ts';

/** What is searched: γ and heads of ZeroTuning, by accuracy or by entropy; or the heads of ACT. */
export type Method =
  | {
      readonly intervention: 'zerotuning';
      readonly objective: Objective;
      readonly options?: ZeroTuningSearch;
    }
  | { readonly intervention: 'act'; readonly options?: ActSearch };

/** Scores of the same held-out items, of the baseline and calibrated, as intervals and a paired test. */
export type Estimate = (
  items: readonly CalibrationItem[],
  baseline: readonly number[],
  calibrated: readonly number[],
) => Pick<HeldOut, 'metric' | 'baseline' | 'calibrated' | 'delta' | 'tooSmall'>;

/** How items are split, measured and judged. */
export interface CalibrateOptions extends SplitOptions {
  /** Journal, progress and batch size of the measurements. */
  readonly sweep?: SweepOptions;
  /** Absent where no item has a right answer: then only entropies are reported. */
  readonly estimate?: Estimate | undefined;
}

/** What a calibration found. */
export interface Calibrated {
  /** What was chosen; neutral where nothing was better than the baseline. */
  readonly interventions: readonly Intervention[];
  /** How it was found: every setting with what it scored. */
  readonly search: SearchResult & { readonly samples: number; readonly settings: number };
  /** What it does on items that the search has not seen. */
  readonly heldOut: HeldOut;
}

/**
 * Searches an intervention's heads and strength on items, and estimates on held-out ones what was won.
 *
 * @example
 * ```ts
 * const method = { intervention: 'zerotuning', objective: 'accuracy' } as const;
 * const { interventions, heldOut } = await calibrate(model.attune.facts, items, method, { seed: 0 });
 * ```
 *
 * @throws AttuneError CALIBRATION_TOO_FEW, CALIBRATION_UNLABELLED, and those of the search and of the sweep
 */
export async function calibrate(
  facts: ModelFacts,
  items: readonly CalibrationItem[],
  method: Method,
  { sweep: sweepOptions, estimate, ...splitting }: CalibrateOptions,
): Promise<Calibrated> {
  const objective = method.intervention === 'act' ? 'accuracy' : method.objective;
  const unlabelled = items.find(({ score }) => score === undefined);
  if (objective === 'accuracy' && unlabelled) {
    throw new AttuneError('CALIBRATION_UNLABELLED', {
      at: unlabelled.dataset,
      found: 'items without choices of which one is right',
      expected: 'multiple choice or pairs to judge',
      hint: 'ZeroTuning can also be searched --unsupervised, by the entropy of the next token.',
    });
  }
  const { search: own, heldOut } = splitItems(items, splitting);
  await using sweep = new Sweep(facts, sweepOptions);
  let settings = 0;
  const evaluate: Evaluate = async (wanted, step) => {
    settings += wanted.filter((setting) => setting !== undefined).length;
    return (await sweep.run(own, wanted, step)).map((measured) => meanValue(own, measured));
  };
  const shuffled = inOrderOfChance(own, splitting.seed);
  const context: SearchContext = {
    facts,
    evaluate,
    race(wanted, halvings, step) {
      settings += wanted.length;
      return race(roundsOf(wanted.length, own.length, halvings), async (field, count) => {
        const items = shuffled.slice(0, count);
        const [baseline, ...rows] = await sweep.run(items, [undefined, ...field.map((i) => wanted[i])], step);
        const margins = (row: readonly Measurement[]) => row.map((one, i) => marginOf(items[i]!, one));
        return { baseline: margins(baseline!), settings: rows.map(margins) };
      });
    },
  };
  const result =
    method.intervention === 'act'
      ? await searchAct(context, method.options)
      : await searchZeroTuning(context, method.objective, method.options);
  const measured = await sweep.run(heldOut, [undefined, result.intervention], 'held-out');
  return {
    interventions: [result.intervention],
    search: { ...result, samples: own.length, settings },
    heldOut: heldOutOf(heldOut, measured, estimate),
  };
}

/** The first of them are a part by chance, whatever the order of the data. */
function inOrderOfChance(items: readonly CalibrationItem[], seed: number): CalibrationItem[] {
  const rank = ({ dataset, id }: CalibrationItem) => sha256(`${seed}/race/${dataset}/${id}`);
  const ranked = items.map((item) => ({ item, rank: rank(item) }));
  return ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1)).map(({ item }) => item);
}

const marginOf = ({ margin, score }: CalibrationItem, { logLikelihoods }: Measurement): number =>
  (margin ?? score!)(logLikelihoods);

function heldOutOf(
  items: readonly CalibrationItem[],
  measured: Awaited<ReturnType<Sweep['run']>>,
  estimate: Estimate | undefined,
): HeldOut {
  const [baseline, calibrated] = measured.map((row) => meanValue(items, row).entropy) as [number, number];
  const entropy = { baseline, calibrated };
  const scored = items.every(({ score }) => score !== undefined);
  const scores = measured.map((row) =>
    row.map(({ logLikelihoods }, i) => items[i]!.score?.(logLikelihoods) ?? 0),
  );
  return {
    samples: items.length,
    entropy,
    ...(scored && estimate?.(items, scores[0]!, scores[1]!)),
  };
}
