/** The page of `attune heads --out`: a map of layers × heads for each statistic, in one file without a network. */

import { headMap, MAP_STYLE, mapLegend, mapWidth, scaleOf, short } from '../reports/head-map.ts';
import { html, Markup } from '../reports/markup.ts';
import { type CalibratedTable, EXPLAINED } from './heads-text.ts';

export interface HeadsPage {
  readonly title: string;
  /** What it was measured on. */
  readonly about: string;
  readonly tables: readonly CalibratedTable[];
}

export function headsPage({ title, about, tables }: HeadsPage): string {
  return html`${new Markup('<!doctype html>')}
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}: heads</title><style>${new Markup(STYLE)}</style></head><body>
<header><h1>${title}</h1><p>${about}. A row is a layer, a column a query head, both counted from 0; hover over a cell, or move to it with Tab, for its value.</p></header>
<main style="--card-width: ${cardWidth(tables)}px">${tables.map(figure)}</main>
</body></html>
`.text;
}

function figure({ name, rows }: CalibratedTable): Markup {
  const scale = scaleOf([rows]);
  return html`<figure><figcaption><h2>${name}</h2><p>${EXPLAINED[name] ?? ''}</p></figcaption>
${mapLegend(name, scale)}
<div class="scroll">${headMap(name, rows, scale)}</div>
${top(rows)}</figure>`;
}

/** Width of a map and of what is around it on its card. */
function cardWidth(tables: readonly CalibratedTable[]): number {
  const heads = Math.max(1, ...tables.flatMap(({ rows }) => rows.map((row) => row.length)));
  return Math.max(330, mapWidth(heads) + 40);
}

/** The heads that stand out, for those who read rather than look. */
function top(rows: CalibratedTable['rows']): Markup {
  const all = rows.flatMap((row, layer) => row.map((value, head) => ({ layer, head, value })));
  const above = all.filter(({ value }) => value > 0);
  const first = above.sort((a, b) => b.value - a.value).slice(0, 5);
  if (first.length === 0) return html``;
  return html`<p class="top">Largest: ${first.map(
    ({ layer, head, value }, i) => html`${i > 0 && ', '}<b>${layer}.${head}</b> ${short(value)}`,
  )}</p>`;
}

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
.scroll { overflow-x: auto; margin-top: .5rem; }${MAP_STYLE}.top { font-size: .82rem; color: var(--soft); margin: .5rem 0 0; font-variant-numeric: tabular-nums; } .top b { color: var(--ink); }
@media print { body { max-width: none; padding: 0; } figure { break-inside: avoid; } }
`;
