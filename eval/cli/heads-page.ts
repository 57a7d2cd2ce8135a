/** The page of `attune heads --out`: a map of layers × heads for each statistic, in one file without a network. */

import { html, Markup, type Piece } from '../reports/markup.ts';
import { type CalibratedTable, EXPLAINED, short } from './heads-text.ts';

export interface HeadsPage {
  readonly title: string;
  /** What it was measured on. */
  readonly about: string;
  readonly tables: readonly CalibratedTable[];
}

/**
 * Cividis (Nuñez, Anderton and Renslow, 2018): one blue-to-yellow scale that people with and without colour vision
 * deficiency see alike, monotone in lightness, so that it survives print too. Stops at equal distances.
 */
const CIVIDIS = [
  '#00224e',
  '#123570',
  '#3b496c',
  '#575d6d',
  '#707173',
  '#8a8678',
  '#a59c74',
  '#c3b369',
  '#e1cc55',
  '#fee838',
];
/** Blue through white to brown (ColorBrewer RdYlBu's relatives, safe for colour vision deficiency), for signed values. */
const DIVERGING = [
  '#0b4a8f',
  '#3f7fbc',
  '#8fb8da',
  '#d3e2ef',
  '#f7f7f5',
  '#f1ddc0',
  '#dfae6c',
  '#b9762a',
  '#7f4a08',
];

export function headsPage({ title, about, tables }: HeadsPage): string {
  return html`${new Markup('<!doctype html>')}
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}: heads</title><style>${new Markup(STYLE)}</style></head><body>
<header><h1>${title}</h1><p>${about}. A row is a layer, a column a query head, both counted from 0; hover over a cell, or move to it with Tab, for its value.</p></header>
<main style="--card-width: ${cardWidth(tables)}px">${tables.map(figure)}</main>
</body></html>
`.text;
}

function figure(table: CalibratedTable): Markup {
  const { name, rows } = table;
  const values = rows.flat();
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const signed = low < 0;
  const bound = Math.max(Math.abs(low), Math.abs(high));
  const [from, to] = signed ? [-bound, bound] : [scaleFrom(low), high];
  const shade = (value: number) => (to > from ? (value - from) / (to - from) : 0);
  const stops = signed ? DIVERGING : CIVIDIS;
  return html`<figure><figcaption><h2>${name}</h2><p>${EXPLAINED[name] ?? ''}</p></figcaption>
${legend(stops, from, to, name)}
<div class="scroll">${map(table, (value) => colour(stops, shade(value)))}</div>
${top(table)}</figure>`;
}

/** Scales of what cannot be negative begin at 0, unless all values are far from it. */
const scaleFrom = (low: number): number => (low > 0 ? 0 : low);

const MARGIN = 34;

/** Cells of a few heads hold their number; of many, three maps stand side by side on a wide screen. */
const cellSize = (heads: number): number => Math.max(12, Math.min(46, Math.floor(330 / heads)));

/** Width of a map and of what is around it on its card. */
function cardWidth(tables: readonly CalibratedTable[]): number {
  const heads = Math.max(1, ...tables.flatMap(({ rows }) => rows.map((row) => row.length)));
  return Math.max(330, MARGIN + heads * cellSize(heads) + 44);
}

function map({ name, rows }: CalibratedTable, fill: (value: number) => Colour): Markup {
  const heads = Math.max(...rows.map((row) => row.length));
  const cell = cellSize(heads);
  const every = cell < 18 ? 4 : cell < 26 ? 2 : 1;
  const labels = (count: number) => Array.from({ length: count }, (_, i) => i).filter((i) => i % every === 0);
  const digits = cell >= 38;
  const cells = rows.flatMap((row, layer) =>
    row.map((value, head): Piece => {
      const { css, ink } = fill(value);
      const [x, y] = [MARGIN + head * cell, MARGIN - 12 + layer * cell];
      return html`<g tabindex="0" role="img" aria-label="layer ${layer}, head ${head}: ${exact(value)}"><title>layer ${layer}, head ${head}: ${exact(value)}</title><rect x="${x}" y="${y}" width="${cell - 1.5}" height="${cell - 1.5}" rx="${cell > 24 ? 4 : 2}" fill="${css}"/>${
        digits &&
        html`<text class="value" x="${x + cell / 2 - 0.75}" y="${y + cell / 2 + 3.5}" fill="${ink}">${short(value)}</text>`
      }</g>`;
    }),
  );
  const [width, height] = [MARGIN + heads * cell + 4, MARGIN - 12 + rows.length * cell + 22];
  return html`<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-label="${name} by layer and head">
${labels(heads).map((head) => html`<text class="axis" x="${MARGIN + head * cell + cell / 2}" y="${MARGIN - 18}">${head}</text>`)}
${labels(rows.length).map((layer) => html`<text class="axis end" x="${MARGIN - 7}" y="${MARGIN - 12 + layer * cell + cell / 2 + 4}">${layer}</text>`)}
${cells}
<text class="axis" x="${MARGIN + (heads * cell) / 2}" y="${height - 5}">head</text>
</svg>`;
}

function legend(stops: readonly string[], from: number, to: number, name: string): Markup {
  const gradient = `linear-gradient(90deg, ${stops.join(', ')})`;
  return html`<div class="legend" aria-label="scale of ${name}"><span>${short(from)}</span><i style="background: ${gradient}"></i><span>${short(to)}</span></div>`;
}

/** The heads that stand out, for those who read rather than look. */
function top({ rows }: CalibratedTable): Markup {
  const all = rows.flatMap((row, layer) => row.map((value, head) => ({ layer, head, value })));
  const above = all.filter(({ value }) => value > 0);
  const first = above.sort((a, b) => b.value - a.value).slice(0, 5);
  if (first.length === 0) return html``;
  return html`<p class="top">Largest: ${first.map(
    ({ layer, head, value }, i) => html`${i > 0 && ', '}<b>${layer}.${head}</b> ${short(value)}`,
  )}</p>`;
}

interface Colour {
  readonly css: string;
  /** Of text on it. */
  readonly ink: string;
}

/** @param at from 0 to 1 */
function colour(stops: readonly string[], at: number): Colour {
  const place = Math.min(1, Math.max(0, at)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(place));
  const parts = (hex: string) => [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16));
  const [one, two] = [parts(stops[i]!), parts(stops[i + 1]!)];
  const mixed = one.map((part, c) => Math.round(part + (two[c]! - part) * (place - i)));
  const [r, g, b] = mixed as [number, number, number];
  // Relative luminance of sRGB (WCAG 2), to keep the contrast of the text above 4.5.
  const linear = mixed.map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return { css: `rgb(${r} ${g} ${b})`, ink: luminance > 0.18 ? '#111' : '#fff' };
}

const exact = (value: number): string => value.toPrecision(4);

const STYLE = `
:root { color-scheme: light dark; --ink: #1a1c20; --soft: #5d636d; --paper: #fbfbfa; --card: #fff; --rule: #e3e4e6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9eaec; --soft: #a3a9b3; --paper: #131518; --card: #1b1e22; --rule: #2e3238; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.2rem 1.5rem 3rem; max-width: 84rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere; } header p { color: var(--soft); margin: 0 0 1.4rem; max-width: 56rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(var(--card-width), 100%), 1fr)); gap: 1.1rem; }
figure { margin: 0; padding: 1rem 1.1rem .8rem; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
h2 { font-size: 1.02rem; margin: 0; } figcaption p { color: var(--soft); font-size: .84rem; margin: .1rem 0 .5rem; min-height: 3em; }
.legend { display: flex; align-items: center; gap: .5rem; font-size: .78rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.legend i { flex: 0 1 12rem; height: .6rem; border-radius: 3px; }
.scroll { overflow-x: auto; margin-top: .5rem; } svg { display: block; }
svg text { font-size: 11px; fill: var(--soft); text-anchor: middle; } svg text.end { text-anchor: end; }
svg text.value { fill: revert-layer; font-size: 10.5px; font-variant-numeric: tabular-nums; }
g:hover rect, g:focus-visible rect { stroke: var(--ink); stroke-width: 2; } g { outline: none; }
.top { font-size: .82rem; color: var(--soft); margin: .5rem 0 0; font-variant-numeric: tabular-nums; } .top b { color: var(--ink); }
@media print { body { max-width: none; padding: 0; } figure { break-inside: avoid; } }
`;
