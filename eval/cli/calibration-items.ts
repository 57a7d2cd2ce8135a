/** Items of tasks as calibration takes them: token requests, and how right an item is by their log-likelihoods. */
import type { CalibrationItem, Estimate, Request } from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import { type MetricName, termsOf } from '../metrics/index.ts';
import { type Item, outputRow } from '../outputs/index.ts';
import { compare, measure } from '../runner/measure.ts';
import { encodeOption } from '../scoring/encode.ts';
import type { LanguageModel, TokenRequest } from '../scoring/language-model.ts';
import type { Task } from '../tasks/definition.ts';

/**
 * The metric of a search: the one asked for, else the first of the task that can be searched; undefined where none can.
 * @throws AttuneError ARGUMENT_INVALID
 */
export function searchMetric(task: Task, asked: string | undefined): MetricName | undefined {
  const possible = outputRow(task.output).calibration?.metrics ?? [];
  const found = asked
    ? possible.find((metric) => metric === asked)
    : possible.find((metric) => (task.metrics as readonly MetricName[]).includes(metric));
  if (asked === undefined || found) return found ?? possible[0];
  throw new AttuneError('ARGUMENT_INVALID', {
    at: '--metric',
    found: asked,
    expected:
      possible.length > 0
        ? `${possible.join(', ')} for the task ${task.name}`
        : `no metric: ${task.name} has no choices`,
  });
}

/** Requests are encoded when they are first needed: a search takes a part of the items only. */
export function calibrationItem(
  language: LanguageModel,
  task: Task,
  item: Item,
  metric: MetricName | undefined,
): CalibrationItem {
  let requests: Request[] | undefined;
  const common = {
    id: item.id,
    dataset: task.name,
    cluster: item.cluster,
    get requests() {
      requests ??= requestsOf(language, item, metric).map((request) => cut(request, language.maxLength));
      return requests;
    },
  };
  const { calibration } = outputRow(item.output);
  if (!calibration) return common;
  const by = metric ?? calibration.metrics[0]!;
  return Object.assign(common, {
    ...(calibration.margin && {
      margin: (logLikelihoods: readonly number[]) => calibration.margin!(item, logLikelihoods),
    }),
    score(logLikelihoods: readonly number[]) {
      const [numerator, denominator] = termsOf([by], calibration.outcome(item, logLikelihoods))[by]!;
      return numerator / denominator;
    },
  });
}

/** @throws AttuneError CALIBRATION_NO_PROMPT, SCORE_EMPTY */
function requestsOf(language: LanguageModel, item: Item, metric: MetricName | undefined): TokenRequest[] {
  if (item.picture) throw noPrompt(item, 'a prompt with a picture');
  const { calibration, answered } = outputRow(item.output);
  const asked = calibration?.requests(item, metric) ?? (answered ? [answered(item)] : []);
  if (!calibration && !asked[0]?.context) throw noPrompt(item, 'running text');
  return asked.map((one) => encodeOption(language, one, { shots: item.shots }));
}

const noPrompt = ({ at }: Item, found: string): AttuneError =>
  new AttuneError('CALIBRATION_NO_PROMPT', {
    at,
    found,
    expected: 'prompts of text with something to answer',
  });

/** As scoring cuts: context is lost at the left. @throws AttuneError SCORE_TOO_LONG */
function cut({ context, continuation }: TokenRequest, maxLength: number): Request {
  if (continuation.length > maxLength) {
    throw new AttuneError('SCORE_TOO_LONG', {
      found: `a continuation of ${continuation.length} tokens`,
      expected: `at most the model's ${maxLength}`,
    });
  }
  const room = maxLength - continuation.length + 1;
  return { context: context.slice(-room), continuation };
}

/** The methods' papers report gains of a few points: an interval of ± ten of them tells a gain from a loss by luck alone. */
const MEANINGLESS = 0.1;

/** Terms of the metric, so that intervals and tests are those of attune eval. */
export function estimateBy(
  metric: MetricName,
  { seed, resamples }: { seed: number; resamples: number },
): Estimate {
  const whole = metric === 'pair_acc' ? 2 : 1;
  return (items, baseline, calibrated) => {
    const rows = (scores: readonly number[]) =>
      items.map(({ cluster }, i) => ({
        terms: { [metric]: [scores[i]! * whole, whole] as [number, number] },
        ...(cluster !== undefined && { cluster }),
      }));
    const options = { seed: `${seed}/held-out/${metric}`, resamples };
    const [before, after] = [rows(baseline), rows(calibrated)];
    const { pHolm: _, ...delta } = compare(before, after, metric, options)!;
    return {
      metric,
      baseline: { ...measure(before, metric, options)! },
      calibrated: { ...measure(after, metric, options)! },
      delta,
      tooSmall: delta.low === null || delta.high === null || delta.high - delta.low >= 2 * MEANINGLESS,
    };
  };
}
