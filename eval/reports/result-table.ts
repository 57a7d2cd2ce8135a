/** Every number of the report with its uncertainty, one line for a run and a metric. */
import type { RunReport } from '../runner/report.ts';
import { groupRows } from './group-row.ts';
import { html, type Markup } from './markup.ts';
import { number, probability, range, signed, unit } from './numbers.ts';

export function resultTable(runs: readonly RunReport[]): Markup {
  const compared = runs.some(({ delta }) => Object.keys(delta).length > 0);
  const left = runs.some(({ skipped, truncated }) => skipped + truncated > 0);
  const group = groupRows(runs, 5 + (compared ? 4 : 0) + (left ? 2 : 0));
  const lines = runs.flatMap((run, i) =>
    Object.entries(run.metrics).map(([metric, value], k) => {
      const delta = run.delta[metric as keyof typeof run.delta];
      return html`${k === 0 && group(i)}<tr><td>${k === 0 && run.intervention}</td>
<td>${metric}${unit(metric)}</td><td class="n">${run.n}</td><td class="n">${number(metric, value.value)} <span class="soft">[${range(metric, value)}]</span></td>
${
  compared &&
  html`<td class="n">${delta && html`${signed(metric, delta.value)} <span class="soft">[${range(metric, delta, signed)}]</span>`}</td>
<td class="n">${delta && html`${probability(delta.p)} <span class="soft">(${probability(delta.pHolm)})</span>`}</td>
<td class="n">${delta?.gained !== undefined && `${delta.gained} / ${delta.lost}`}</td>
<td class="n">${delta?.minimumDetectable !== undefined && `±${number(metric, delta.minimumDetectable)}`}</td>`
}
<td class="n">${run.unparsable}</td>${left && html`<td class="n">${run.skipped}</td><td class="n">${run.truncated}</td>`}</tr>`;
    }),
  );
  return html`<div class="scroll"><table class="results"><thead><tr><th>intervention</th><th>metric</th><th class="n">n</th>
<th class="n">value</th>${
    compared &&
    html`<th class="n">difference</th><th class="n">p (Holm)</th>
<th class="n">gained / lost</th><th class="n">detectable</th>`
  }<th class="n">unparsable</th>${left && html`<th class="n">skipped</th><th class="n">cut off</th>`}</tr></thead>
<tbody>${lines}</tbody></table></div>`;
}
