/** Items of tasks as calibration takes them: token requests, and how right an item is by their log-likelihoods. */
import type { CalibrationItem, Estimate, Request } from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import { compare, measure } from '../runner/measure.ts';
import { encodePair } from '../scoring/encode-pair.ts';
import type { LanguageModel, TokenRequest } from '../scoring/language-model.ts';
import { predictionBy, rightShare } from '../scoring/multiple-choice.ts';
import type { Metric, Task } from '../tasks/definition.ts';
import { type Item, isRight, type MultipleChoiceItem, type Option } from '../tasks/item.ts';

/** Metrics by which items of a kind can be searched. */
const METRICS: Record<string, readonly Metric[]> = {
  multiple_choice: ['acc', 'acc_norm', 'acc_bytes', 'acc_mutual_info', 'mc2'],
  pairwise: ['pair_acc'],
};

/**
 * The metric of a search: the one asked for, else the first of the task that can be searched; undefined where none can.
 * @throws AttuneError ARGUMENT_INVALID
 */
export function searchMetric(task: Task, asked: string | undefined): Metric | undefined {
  const possible = METRICS[task.output] ?? [];
  const found = asked
    ? possible.find((metric) => metric === asked)
    : possible.find((metric) => (task.metrics as readonly Metric[]).includes(metric));
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
  metric: Metric | undefined,
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
  if (item.output === 'multiple_choice') {
    return Object.assign(common, {
      score: (lls: readonly number[]) => right(metric ?? 'acc', item, lls),
    });
  }
  if (item.output === 'pairwise') {
    return Object.assign(common, {
      score: (lls: readonly number[]) =>
        item.orders.reduce((sum, order, i) => sum + right('acc', order, lls.slice(2 * i, 2 * i + 2)) / 2, 0),
    });
  }
  return common;
}

type Choice = Pick<MultipleChoiceItem, 'options' | 'gold' | 'right'>;

/** 1 or 0, or a share. An item whose logits are not finite is wrong. */
function right(metric: string, choice: Choice, lls: readonly number[]): number {
  if (lls.some(Number.isNaN)) return 0;
  const n = choice.options.length;
  if (metric === 'mc2') return rightShare(lls.slice(0, n), (option) => isRight(choice, option));
  return isRight(choice, predictionBy(metric, choice.options, lls.slice(0, n), lls.slice(n))) ? 1 : 0;
}

/** @throws AttuneError CALIBRATION_NO_PROMPT, SCORE_EMPTY */
function requestsOf(language: LanguageModel, item: Item, metric: Metric | undefined): TokenRequest[] {
  const encode = ({ context, continuation }: Pick<Option, 'context' | 'continuation'>) =>
    encodePair(language, context, continuation);
  if (item.picture) throw noPrompt(item, 'a prompt with a picture');
  switch (item.output) {
    case 'multiple_choice': {
      const alone =
        metric === 'acc_mutual_info'
          ? item.options.map(({ continuation }) => ({ context: '', continuation }))
          : [];
      return [...item.options, ...alone].map(encode);
    }
    case 'pairwise':
      return item.orders.flatMap(({ options }) => options.map(encode));
    case 'loglikelihood':
      return [encode(item)];
    case 'generate_until':
      return [encode({ context: item.context, continuation: ` ${item.answers[0]}` })];
    case 'yes_no':
      return [encode({ context: item.context, continuation: item.label ? ' yes' : ' no' })];
    case 'caption':
    case 'loglikelihood_rolling':
      throw noPrompt(item, 'running text');
  }
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

/** Terms of the metric, so that intervals and tests are those of attune eval. */
export function estimateBy(
  metric: Metric,
  { seed, resamples }: { seed: number; resamples: number },
): Estimate {
  const whole = metric === 'pair_acc' ? 2 : 1;
  return (items, untouched, calibrated) => {
    const rows = (scores: readonly number[]) =>
      items.map(({ cluster }, i) => ({
        terms: { [metric]: [scores[i]! * whole, whole] as [number, number] },
        ...(cluster !== undefined && { cluster }),
      }));
    const options = { seed: `${seed}/held-out/${metric}`, resamples };
    const [before, after] = [rows(untouched), rows(calibrated)];
    const { pHolm: _, ...delta } = compare(before, after, metric, options)!;
    return {
      metric,
      untouched: { ...measure(before, metric, options)! },
      calibrated: { ...measure(after, metric, options)! },
      delta,
    };
  };
}
