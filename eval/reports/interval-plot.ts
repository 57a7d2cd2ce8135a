/** Values with their intervals, one below the other, as an SVG: the effect plot of the report. */
import { html, type Markup } from './markup.ts';
import { linearScale } from './scale.ts';

export interface IntervalRow {
  /** Rows of one group stand under its name. */
  group: string;
  label: string;
  value: number;
  low: number | null;
  high: number | null;
  /** What stands at the right. */
  text: string;
  /** Drawn full, else hollow. */
  strong: boolean;
  /** Number of the row's colour. */
  series: number;
}

const WIDTH = 860;
const [LEFT, RIGHT] = [220, 560];
const ROW = 22;
const TOP = 8;

/** @param reference drawn as a line across; with `around`, the axis reaches it. */
export function intervalPlot(
  rows: readonly IntervalRow[],
  {
    axis,
    reference,
    format,
  }: { axis: string; reference?: number; format: (tick: number, places: number) => string },
): Markup {
  const ends = rows.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
  const scale = linearScale(reference === undefined ? ends : [...ends, reference], LEFT, RIGHT);
  const lines: Markup[] = [];
  let y = TOP;
  rows.forEach((row, i) => {
    if (row.group !== rows[i - 1]?.group) {
      y += ROW;
      lines.push(html`<text x="0" y="${y - 6}" class="group">${row.group}</text>`);
    }
    y += ROW;
    const middle = y - ROW / 2;
    const x = scale.at(row.value);
    lines.push(html`<g class="s${row.series}">
<text x="14" y="${middle + 4}">${row.label}</text>
${row.low !== null && row.high !== null && html`<line class="interval" x1="${px(scale.at(row.low))}" x2="${px(scale.at(row.high))}" y1="${middle}" y2="${middle}"/>`}
<circle cx="${px(x)}" cy="${middle}" r="4.5" class="${row.strong ? 'full' : 'hollow'}"/>
<text x="${RIGHT + 16}" y="${middle + 4}" class="number">${row.text}</text></g>`);
  });
  const bottom = y + 6;
  return html`<div class="plot"><svg viewBox="0 0 ${WIDTH} ${bottom + 44}" role="img" aria-label="${axis}">
${scale.ticks.map((tick) => html`<line class="grid" x1="${px(scale.at(tick))}" x2="${px(scale.at(tick))}" y1="${TOP}" y2="${bottom}"/><text x="${px(scale.at(tick))}" y="${bottom + 16}" class="tick">${format(tick, scale.places)}</text>`)}
${reference !== undefined && html`<line class="reference" x1="${px(scale.at(reference))}" x2="${px(scale.at(reference))}" y1="${TOP}" y2="${bottom}"/>`}
${lines}
<text x="${(LEFT + RIGHT) / 2}" y="${bottom + 36}" class="axis">${axis}</text>
</svg></div>`;
}

const px = (value: number): string => value.toFixed(1);
