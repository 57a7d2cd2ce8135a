/** report.html: one file with everything in it, readable in any browser, on paper, and without a network or a server. */
import { type MetricName, metrics } from '../metrics/index.ts';
import { changesOf } from './changes.ts';
import { configuration } from './configuration.ts';
import { costTable } from './cost-table.ts';
import type { ReadableReport } from './document.ts';
import { effectPlots, headMaps, positionCurves, sliceSections } from './figures.ts';
import { itemBrowser } from './item-browser.ts';
import { html, type Markup, Markup as Raw } from './markup.ts';
import { shortNames } from './model-names.ts';
import { resultTable } from './result-table.ts';
import { STYLE } from './style.ts';

export function reportPage(report: ReadableReport): string {
  const { document, sets, costs, gates } = report;
  const { runs, tasks, models } = document;
  const names = tasks.map(({ name }) => name);
  const interventions = new Set(
    runs.filter(({ specification }) => specification.length).map(({ specHash }) => specHash),
  );
  const changes = sets.flatMap(changesOf);
  const compared = interventions.size > 0;
  const title = `${names.length > 2 ? plural(names.length, 'task') : names.join(', ')}: ${models.map(({ name }) => shortNames(models.map((model) => model.name))(name)).join(', ')}`;
  const curves = positionCurves(runs);
  const slices = sliceSections(runs);
  return html`${new Raw('<!doctype html>')}
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Raw(STYLE)}</style></head><body>
<h1>${title}</h1>
<p class="soft">attune ${document.software.attune}. ${plural(
    runs.reduce((sum, { n }) => Math.max(sum, n), 0),
    'item',
  )} at most in a task,
${compared ? html`${plural(interventions.size, 'intervention')} against the baseline on the same items` : 'the baseline alone'}.</p>
${gates.length > 0 && gateList(report)}
<h2>Results</h2>
${resultTable(runs)}
<p class="note">Brackets are 95 % intervals: Wilson’s for shares of independent items, otherwise a bootstrap over items or
clusters. ${
    compared &&
    html`Differences are paired: the same items under both settings; interval and p are Tango’s and McNemar’s exact for shares of independent items,
otherwise a paired bootstrap’s; p (Holm) corrects over the interventions compared on a task and metric. “Detectable” is the smallest difference that this
many items show with power 0.8 at α = 0.05: a smaller one may be there and not be seen.`
  }
Unparsable outputs count as wrong.</p>
<h2>${compared ? 'Differences to the baseline' : 'Values'}</h2>
${effectPlots(runs, compared)}
<p class="note">Lines are 95 % intervals. ${compared && 'Full dots: p (Holm) below 0.05.'}
${[...new Set(runs.flatMap(({ metrics }) => Object.keys(metrics)))].some((metric) => metrics[metric as MetricName].better === 'lower') && 'Of perplexities and bits, less is better.'}</p>
${curves.length > 0 && html`<h2>By position of the answer</h2>${curves}`}
${slices.length > 0 && html`<h2>By slice</h2>${slices}`}
${
  document.heads &&
  html`<h2>Heads</h2>${headMaps(document.heads)}
<p class="note">A row is a layer, a column a head, both counted from 0; hover for the value. Measured on ${document.heads[0]!.prompts} prompts under each setting;
parameters as the interventions give them, where they differ between heads.</p>`
}
${compared && html`<h2>Items that changed</h2>${itemBrowser(changes)}`}
<h2>Cost</h2>
${costTable(runs, costs)}
<p class="note">Time inside the model on this machine. The overhead is the ratio of the times for the same items, with a 95 % bootstrap interval.
“Saved”: tokens that one pass for each choice would have run, over tokens run. Memory: the largest resident size of the whole process after an item.</p>
<h2>Configuration</h2>
${configuration(report)}
</body></html>
`.text;
}

/** Gates and whether they hold. */
function gateList({ gates }: ReadableReport): Markup {
  return html`<h2>Gates</h2><ul>${gates.map(
    ({ gate, pass, checks }) =>
      html`<li><span class="${pass ? 'good' : 'bad'}">${pass ? 'holds' : 'missed'}</span> <code>${gate}</code>${
        !pass &&
        html`: ${checks
          .filter((check) => !check.pass)
          .map(
            ({ task, intervention, found }) =>
              `${task}, ${intervention}: ${found === null ? 'no limit' : found.toPrecision(4)}`,
          )
          .join('; ')}`
      }</li>`,
  )}</ul>`;
}

export const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
