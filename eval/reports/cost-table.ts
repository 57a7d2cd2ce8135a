/** What each run cost: tokens, time against the baseline’s, memory. */
import type { TimeCost } from '../runner/costs.ts';
import type { RunReport } from '../runner/report.ts';
import { groupRows } from './group-row.ts';
import { html, type Markup } from './markup.ts';

export function costTable(runs: readonly RunReport[], costs: readonly TimeCost[]): Markup {
  const taken = costs.some(({ reusedTokens }) => reusedTokens > 0);
  const group = groupRows(runs, 9 + Number(taken));
  const lines = runs.map(({ intervention, cost }, i) => {
    const { ms, overhead, prefillMsPerToken, decodeMsPerToken, reusedTokens, peakBytes } = costs[i]!;
    const compared = overhead.low !== null && overhead.high !== null && Number.isFinite(overhead.value);
    return html`${group(i)}<tr><td>${intervention}</td>
<td class="n">${cost.tokens.toLocaleString('en')}</td><td class="n">${ratio(cost.unsharedTokens / cost.tokens)}</td>${taken && html`<td class="n">${reusedTokens > 0 && reusedTokens.toLocaleString('en')}</td>`}
<td class="n">${(ms / 1000).toFixed(2)}</td><td class="n">${compared && ratio(overhead.value)}</td>
<td class="n soft">${compared && `[${overhead.low!.toFixed(2)} … ${overhead.high!.toFixed(2)}]`}</td>
<td class="n">${perToken(prefillMsPerToken)}</td><td class="n">${perToken(decodeMsPerToken)}</td><td class="n">${Math.round(peakBytes / 2 ** 20)}</td></tr>`;
  });
  return html`<div class="scroll"><table><thead><tr><th>intervention</th><th class="n">tokens</th><th class="n">saved</th>${taken && html`<th class="n">taken over</th>`}
<th class="n">time (s)</th><th class="n">overhead</th><th></th><th class="n">read (ms/token)</th><th class="n">write (ms/token)</th><th class="n">memory (MiB)</th></tr></thead>
<tbody>${lines}</tbody></table></div>`;
}

const ratio = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(2)}×` : '–');
const perToken = (ms: number | null): string => (ms === null ? '–' : ms.toPrecision(3));
