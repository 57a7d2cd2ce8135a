/** What attune calibrate prints of a search: every setting that was tried, the choice, the estimate on held-out items. */
import type { Calibrated, HeldOut } from '../../calibration/index.ts';

const percent = (value: number) => (100 * value).toFixed(1);

export function calibrationText(
  { search, heldOut, interventions }: Calibrated,
  out: string,
  model: string,
): string {
  const rows = search.trace.map(({ step, spec, accuracy, entropy, type, gain, error, items }) => [
    step,
    spec ? JSON.stringify(spec) : '',
    accuracy === null ? '–' : percent(accuracy),
    entropy === null ? '–' : entropy.toFixed(4),
    `${type ?? (typeof gain === 'number' ? gainText(gain, error, items) : '')}`,
  ]);
  const verdict = search.found
    ? `chosen: ${JSON.stringify(interventions[0]!.toJSON())}`
    : 'nothing was better than the baseline: the profile changes nothing';
  return [
    aligned([['step', 'setting', 'acc %', 'entropy', ''], ...rows]),
    '',
    verdict,
    `searched on ${search.samples} items with ${search.settings} settings`,
    heldOutText(heldOut),
    `profile: ${out}`,
    `try it: attune eval --model ${model} --profile ${out} --task …`,
    '',
  ].join('\n');
}

/** In points of accuracy; of a head that was raced in nats of its margin, with the error and the items that it has seen. */
function gainText(gain: number, error: unknown, items: unknown): string {
  const sign = gain < 0 ? '−' : '+';
  if (typeof error !== 'number') return `${sign}${percent(Math.abs(gain))}`;
  return `${sign}${Math.abs(gain).toFixed(3)} ± ${error.toFixed(3)} nats on ${items}`;
}

/** Names to the left, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 2 || i === 3 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

const TOO_SMALL =
  '\ntoo few held-out items to mean anything: the interval reaches ten points or more to a side; give more data or fewer --samples';

function heldOutText({ samples, metric, baseline, calibrated, delta, tooSmall, entropy }: HeldOut): string {
  const change = `entropy ${entropy.baseline.toFixed(4)} → ${entropy.calibrated.toFixed(4)}`;
  if (!baseline || !calibrated || !delta) return `held out, ${samples} items: ${change}`;
  const signed = `${delta.value < 0 ? '−' : '+'}${percent(Math.abs(delta.value))}`;
  const range =
    delta.low === null || delta.high === null ? '' : ` [${percent(delta.low)}, ${percent(delta.high)}]`;
  const p = delta.p === null ? '' : `, p = ${delta.p.toPrecision(2)}`;
  return `held out, ${samples} items: ${metric} ${percent(baseline.value)} → ${percent(calibrated.value)}, ${signed}${range} points${p}; ${change}${tooSmall ? TOO_SMALL : ''}`;
}
