/** From a report's numbers to its figures: effects of all runs, curves over positions, effects by slice. */

import { metrics as known, type MetricName } from '../metrics/index.ts';
import type { PartReport, RunReport } from '../runner/report.ts';
import { type Curve, curvePlot } from './curve-plot.ts';
import type { HeadMaps } from './document.ts';
import { headMap, mapLegend, scaleOf } from './head-map.ts';
import { type IntervalRow, intervalPlot } from './interval-plot.ts';
import { html, type Markup } from './markup.ts';
import { sharesTasks, shortNames } from './model-names.ts';
import { differenceUnit, isShare, number, range, signed, unit } from './numbers.ts';

/** A plot for each metric: differences where interventions were compared, else values. */
export function effectPlots(runs: readonly RunReport[], compared: boolean): Markup[] {
  const several = sharesTasks(runs);
  const short = shortNames(runs.map(({ model }) => model));
  const parts = runs.map((run) => ({
    ...run,
    group: several ? `${run.task}, ${short(run.model)}` : run.task,
    series: seriesOf(runs, run),
  }));
  return plots(parts, compared, true);
}

/** A section for each task with slices; folded where they are many. */
export function sliceSections(runs: readonly RunReport[]): Markup[] {
  const tasks = tasksWith(runs, ({ slices }) => slices);
  return tasks.map(({ title, own }) => {
    const compared = own.some(({ delta }) => Object.keys(delta).length > 0);
    const first = Object.keys(own[0]!.metrics)[0] as MetricName;
    const names = own[0]!.slices!.map(({ slice }) => slice);
    const parts = names.flatMap((name, s) =>
      own.map((run) => ({
        ...run.slices![s]!,
        metrics: { [first]: run.slices![s]!.metrics[first] } as PartReport['metrics'],
        group: `${name} (n = ${run.slices![s]!.n})`,
        intervention: run.intervention,
        series: seriesOf(runs, run),
      })),
    );
    return html`<details ${names.length <= 12 && 'open'}><summary>${title}: ${names.length} slices</summary>
${plots(parts, compared, false)}
<p class="note">p (Holm), which fills the dots, corrects over the slices and interventions of this figure.</p></details>`;
  });
}

/** A figure for each task with positions and each of its metrics. */
export function positionCurves(runs: readonly RunReport[]): Markup[] {
  return tasksWith(runs, ({ positions }) => positions).flatMap(({ title, own }) =>
    (Object.keys(own[0]!.metrics) as MetricName[]).map((metric) => {
      const curves = own.map(
        (run): Curve => ({
          label: run.intervention,
          series: seriesOf(runs, run),
          points: run.positions!.flatMap(({ position, metrics }) => {
            const value = metrics[metric];
            return value ? [{ x: position, ...scaled(metric, value) }] : [];
          }),
        }),
      );
      const y = `${metric}${unit(metric)}`;
      return html`<h3>${title}</h3>${curvePlot(curves, { x: 'position of the answer', y, format: fixed })}`;
    }),
  );
}

type Plotted = PartReport & { group: string; intervention: string; series: number };

function plots(parts: readonly Plotted[], compared: boolean, titled: boolean): Markup[] {
  const metrics = [...new Set(parts.flatMap((part) => Object.keys(part.metrics)))] as MetricName[];
  return metrics.map((metric) => {
    const rows = parts.flatMap((part): IntervalRow[] => {
      const delta = part.delta[metric];
      const value = part.metrics[metric];
      const shown = compared ? delta : value;
      if (!shown) return [];
      const show = compared ? signed : number;
      return [
        {
          group: part.group,
          label: part.intervention,
          series: part.series,
          ...scaled(metric, shown),
          strong: compared ? (delta?.pHolm ?? 1) < 0.05 : true,
          text: `${show(metric, shown.value)} [${range(metric, shown, show)}]`,
        },
      ];
    });
    if (rows.length === 0) return html``;
    const name = `${metric}${known[metric].better === 'lower' ? ', less is better' : ''}`;
    const axis = compared ? `difference in ${name}${differenceUnit(metric)}` : `${name}${unit(metric)}`;
    const plot = intervalPlot(rows, { axis, format: fixed, ...(compared && { reference: 0 }) });
    return html`${titled && metrics.length > 1 && html`<h3>${metric}</h3>`}${plot}`;
  });
}

/** Shares in percent, the rest as it is. */
function scaled<T extends { value: number; low: number | null; high: number | null }>(metric: string, of: T) {
  const factor = isShare(metric) ? 100 : 1;
  const times = (value: number | null) => (value === null ? null : value * factor);
  return { value: of.value * factor, low: times(of.low), high: times(of.high) };
}

const fixed = (tick: number, places: number): string =>
  (Math.abs(tick) >= 1e5 ? tick.toExponential(1).replace('e+', 'e') : tick.toFixed(places)).replace(
    /^-/,
    '−',
  );

/** 0 for the baseline, then a colour for each name, the same in every figure; its settings may differ from task to task. */
function seriesOf(runs: readonly RunReport[], { specification, intervention }: RunReport): number {
  if (specification.length === 0) return 0;
  const others = runs.filter((run) => run.specification.length > 0).map((run) => run.intervention);
  return 1 + ([...new Set(others)].indexOf(intervention) % 6);
}

function tasksWith(
  runs: readonly RunReport[],
  parts: (run: RunReport) => unknown,
): { title: string; own: RunReport[] }[] {
  const several = sharesTasks(runs);
  const short = shortNames(runs.map(({ model }) => model));
  const groups = new Map<string, RunReport[]>();
  for (const run of runs) {
    if (parts(run) === undefined) continue;
    const title = several ? `${run.task}, ${short(run.model)}` : run.task;
    groups.set(title, [...(groups.get(title) ?? []), run]);
  }
  return [...groups].map(([title, own]) => ({ title, own }));
}

/** Pixels for a layer's cells: some maps stand side by side. */
const MAP_ROOM = 210;

/** A row of maps for each model and quantity, settings side by side on one scale. */
export function headMaps(heads: readonly HeadMaps[]): Markup[] {
  const several = new Set(heads.map(({ model }) => model)).size > 1;
  const short = shortNames(heads.map(({ model }) => model));
  return [...new Set(heads.map(({ model }) => model))].flatMap((model) => {
    const own = heads.filter((entry) => entry.model === model);
    const names = [...new Set(own.flatMap(({ maps }) => maps.map(({ name }) => name)))];
    return names.map((name) => {
      const shown = own.flatMap(({ intervention, maps }) =>
        maps.filter((map) => map.name === name).map((map) => ({ intervention, ...map })),
      );
      const scale = scaleOf(
        shown.map(({ rows }) => rows),
        shown[0]!.neutral,
      );
      const title = `${several ? `${short(model)}: ` : ''}${name}`;
      const figures = shown.map(
        ({ intervention, rows }) =>
          html`<figure class="heads"><figcaption>${intervention}</figcaption>${headMap(`${name}, ${intervention},`, rows, scale, MAP_ROOM)}</figure>`,
      );
      return html`<h3>${title}</h3>${mapLegend(name, scale)}<div class="maps">${figures}</div>`;
    });
  });
}
