import { MAP_STYLE } from './head-map.ts';

/** The look of report.html: paper and screen, light and dark. Colours of settings: Okabe and Ito, told apart by all. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #666; --rule: #d8d8d8; --paper: #fff; --panel: #f6f6f4;
  --good: #00694d; --bad: #a63c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --soft: #a2a2a0; --rule: #3c3c3c; --paper: #161616;
  --panel: #202020; --good: #3fc79a; --bad: #f0935c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Roboto, sans-serif; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p, .note { max-width: 46rem; }
.note { color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums;
  border-top: 1.5px solid var(--ink); border-bottom: 1.5px solid var(--ink); }
th { text-align: left; font-weight: 600; border-bottom: 1px solid var(--ink); vertical-align: bottom; }
th, td { padding: .22rem .7rem .22rem 0; white-space: nowrap; }
td.n, th.n { text-align: right; }
.results { font-size: .8rem; } .results th { white-space: normal; } .results th, .results td { padding-right: .6rem; }
tbody tr.group th { border-top: 1px solid var(--rule); border-bottom: 0; padding-top: .45rem; text-align: left; }
tbody tr.group:first-child th { border-top: 0; } tr.group th .soft { font-weight: 400; }
.soft { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; height: auto; display: block; margin: .4rem 0 1rem; font-size: 12.5px; fill: var(--ink); }
.plot { overflow-x: auto; max-width: 56rem; } .plot svg { min-width: 40rem; }
svg .group { font-weight: 600; }
svg .tick { fill: var(--soft); text-anchor: middle; } svg .tick.end { text-anchor: end; }
svg .axis { text-anchor: middle; } svg .number { font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--rule); } svg .reference { stroke: var(--soft); stroke-width: 1.5; }
svg .interval { stroke: var(--series); stroke-width: 2; }
svg .full { fill: var(--series); stroke: var(--series); stroke-width: 1.5; }
svg .hollow { fill: var(--paper); stroke: var(--series); stroke-width: 1.75; }
svg .curve { fill: none; stroke: var(--series); stroke-width: 1.75; }
.s0 { --series: var(--soft); } .s1 { --series: #0072b2; } .s2 { --series: #d55e00; } .s3 { --series: #009e73; }
.s4 { --series: #b35f94; } .s5 { --series: #9a7d00; } .s6 { --series: #3f93c4; }
@media (prefers-color-scheme: dark) { .s1 { --series: #56b4e9; } .s2 { --series: #ef8a4a; } .s3 { --series: #2fc79a; }
  .s4 { --series: #dd9cc4; } .s5 { --series: #e3c53c; } .s6 { --series: #8fd0f5; } }
figure.heads { margin: 0; font-size: .82rem; max-width: 100%; overflow-x: auto; }
${MAP_STYLE}.maps { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
details { border-top: 1px solid var(--rule); padding: .3rem 0; }
details details { border: 0; padding: .1rem 0 .1rem 1rem; }
summary { cursor: pointer; } summary:focus-visible { outline: 2px solid var(--series, #0072b2); }
summary code { color: var(--soft); }
pre { background: var(--panel); padding: .6rem .8rem; margin: .4rem 0; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 12.5px/1.45 ui-monospace, "Liberation Mono", Menlo, monospace; max-height: 24rem; overflow-y: auto; }
code { font: .9em ui-monospace, "Liberation Mono", Menlo, monospace; overflow-wrap: anywhere; }
.item table { margin: .3rem 0 .8rem; } .item td { white-space: normal; vertical-align: top; }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .15rem 1rem; font-size: .87rem; margin: .4rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
input { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--rule); padding: .3rem .6rem;
  width: min(26rem, 100%); margin: .2rem 0 .6rem; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } .scroll { overflow: visible; } table, .results { font-size: 7.5pt; } input { display: none; }
  h2, h3 { break-after: avoid; } svg, table { break-inside: avoid; } }
`;
