/** A metric over positions, a line for each setting with its intervals, as an SVG. */
import { html, type Markup } from './markup.ts';
import { linearScale } from './scale.ts';

export interface Curve {
  label: string;
  /** Number of the curve's colour. */
  series: number;
  points: { x: number; value: number; low: number | null; high: number | null }[];
}

const WIDTH = 860;
const [LEFT, RIGHT] = [60, 640];
const [TOP, BOTTOM] = [12, 260];

export function curvePlot(
  curves: readonly Curve[],
  {
    x: xTitle,
    y: yTitle,
    format,
  }: { x: string; y: string; format: (tick: number, places: number) => string },
): Markup {
  const points = curves.flatMap((curve) => curve.points);
  const xs = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const ys = points.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
  const horizontal = linearScale(xs, LEFT + 12, RIGHT - 12, Math.min(xs.length, 10));
  const vertical = linearScale(ys, BOTTOM, TOP);
  // Settings stand side by side at a position, so that no interval hides another.
  const shift = (i: number) => (i - (curves.length - 1) / 2) * 5;
  return html`<div class="plot"><svg viewBox="0 0 ${WIDTH} ${BOTTOM + 48}" role="img" aria-label="${yTitle} by ${xTitle}">
${vertical.ticks.map((tick) => html`<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${px(vertical.at(tick))}" y2="${px(vertical.at(tick))}"/><text x="${LEFT - 8}" y="${px(vertical.at(tick) + 4)}" class="tick end">${format(tick, vertical.places)}</text>`)}
${xs.length <= 20 ? xs.map((x) => xTick(horizontal.at(x), `${x}`)) : horizontal.ticks.map((x) => xTick(horizontal.at(x), x.toFixed(horizontal.places)))}
${curves.map(({ label, series, points: own }, i) => {
  const at = own.map((point) => ({ ...point, px: horizontal.at(point.x) + shift(i) }));
  return html`<g class="s${series}">
<polyline class="curve" points="${at.map(({ px: x, value }) => `${px(x)},${px(vertical.at(value))}`).join(' ')}"/>
${at.map(({ px: x, low, high }) => low !== null && high !== null && html`<line class="interval" x1="${px(x)}" x2="${px(x)}" y1="${px(vertical.at(low))}" y2="${px(vertical.at(high))}"/>`)}
${at.map(({ px: x, value }) => html`<circle cx="${px(x)}" cy="${px(vertical.at(value))}" r="3.5" class="full"/>`)}
<circle cx="${RIGHT + 24}" cy="${TOP + 10 + 22 * i}" r="4.5" class="full"/><text x="${RIGHT + 36}" y="${TOP + 14 + 22 * i}">${label}</text></g>`;
})}
<text x="${(LEFT + RIGHT) / 2}" y="${BOTTOM + 40}" class="axis">${xTitle}</text>
<text transform="translate(14 ${(TOP + BOTTOM) / 2}) rotate(-90)" class="axis">${yTitle}</text>
</svg></div>`;
}

const xTick = (x: number, text: string): Markup =>
  html`<text x="${px(x)}" y="${BOTTOM + 18}" class="tick">${text}</text>`;

const px = (value: number): string => value.toFixed(1);
