/** The line above the runs of one task on one model: names are long, and columns for them would leave none for numbers. */
import type { RunReport } from '../runner/report.ts';
import { html, type Markup } from './markup.ts';
import { shortNames } from './model-names.ts';

/** @returns the line before run i, where another task or model begins */
export function groupRows(runs: readonly RunReport[], columns: number): (i: number) => Markup | undefined {
  const several = new Set(runs.map(({ model }) => model)).size > 1;
  const short = shortNames(runs.map(({ model }) => model));
  return (i) => {
    const [run, previous] = [runs[i]!, runs[i - 1]];
    if (previous?.task === run.task && previous.model === run.model) return undefined;
    return html`<tr class="group"><th colspan="${columns}">${run.task}${several && html`<span class="soft">, ${short(run.model)}</span>`}</th></tr>`;
  };
}
