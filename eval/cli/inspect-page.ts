/** The page of `inspect --html`: one self-contained file, every head of every layer as a cell. */

import type { Site } from '../../sites/index.ts';
import { POINT_AXES } from '../../sites/points/index.ts';
import type { Inspection } from './inspection.ts';

const CELL = 18;

/** A page shows at most so many heads of a layer, layers of a tower, points and refusals; the rest is counted. */
const MOST = { heads: 256, layers: 512, rows: 20_000 } as const;

export function inspectPage({ file, producer, opset, recognition, points }: Inspection): string {
  const groups = new Map<string, Site[]>();
  for (const site of recognition.sites) {
    const key = `${site.tower || 'model'} · ${site.attention}-attention`;
    groups.set(key, [...(groups.get(key) ?? []), site]);
  }
  const maps = [...groups].map(([title, sites]) => `<h2>${escapeHtml(title)}</h2>${headMap(sites)}`).join('');
  const refused = recognition.refused
    .slice(0, MOST.rows)
    .map(({ node, reason }) => `<li><code>${escapeHtml(node)}</code> ${escapeHtml(reason)}</li>`);
  const rows = points.slice(0, MOST.rows).map(({ name, kind, source }) => {
    const state =
      source.from === 'nowhere'
        ? `<i>${escapeHtml(source.reason)}</i>`
        : `[${[...POINT_AXES[kind]].join(', ')}]`;
    return `<tr><td><code>${escapeHtml(name)}</code><td>${state}`;
  });
  if (points.length > MOST.rows) rows.push(`<tr><td>… and ${points.length - MOST.rows} more<td>`);
  if (recognition.refused.length > MOST.rows)
    refused.push(`<li>… and ${recognition.refused.length - MOST.rows} more</li>`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(file)} · attune inspect</title>
<style>
:root{color-scheme:light dark;--ink:light-dark(#1c2430,#e7ecf3);--paper:light-dark(#fff,#12161c);--line:light-dark(#d9dee6,#313a46)}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem;word-break:break-all}h2{font-size:1.05rem;margin-top:2rem}
svg text{font:11px system-ui,sans-serif;fill:currentColor}table{border-collapse:collapse}td{padding:.15rem 1.2rem .15rem 0;border-bottom:1px solid var(--line)}
code{font-size:.9em}.scroll{overflow-x:auto}
</style>
<h1>${escapeHtml(file)}</h1>
<p>${escapeHtml(producer || 'unknown producer')} · opset ${opset ?? '?'} · ${recognition.sites.length} attention sites</p>
${maps ? `<p>A cell is a query head; heads of one colour share keys and values. Hover for details.</p>${maps}` : '<p>No attention was recognised.</p>'}
${refused.length > 0 ? `<h2>Refused or limited</h2><ul>${refused.join('')}</ul>` : ''}
<h2>Hook points</h2><table>${rows.join('')}</table></html>\n`;
}

/** Layers down, heads across; heads that share a kv head share a colour. Hover for the facts of the site. */
function headMap(all: readonly Site[]): string {
  const left = 190;
  const sites = all.slice(0, MOST.layers);
  const heads = Math.min(MOST.heads, Math.max(...sites.map(({ numHeads }) => numHeads)));
  const height = sites.length * (CELL + 4) + 24;
  const rows = sites.map((site, row) => {
    const y = 20 + row * (CELL + 4);
    const facts = `layer ${site.layer}: ${site.form}, ${site.numHeads} heads over ${site.kvHeads} kv heads × ${site.headDim}, ${site.causalBy}`;
    const cells = Array.from({ length: Math.min(site.numHeads, MOST.heads) }, (_, head) => {
      const kv = Math.floor(head / (site.numHeads / site.kvHeads));
      const hue = Math.round((kv * 360) / site.kvHeads);
      return `<rect x="${left + head * CELL}" y="${y}" width="${CELL - 2}" height="${CELL}" rx="3" fill="hsl(${hue} 55% 55%)"><title>head ${head}, kv head ${kv} · ${escapeHtml(facts)}</title></rect>`;
    });
    return `<text x="0" y="${y + 13}">${site.layer} · ${site.form}${site.window ? ` · window ${site.window}` : ''}</text>${cells.join('')}`;
  });
  const axis = Array.from({ length: heads }, (_, head) =>
    head % 4 === 0 ? `<text x="${left + head * CELL}" y="12">${head}</text>` : '',
  );
  const hidden = [
    ...(sites.some(({ numHeads }) => numHeads > MOST.heads)
      ? [`the first ${MOST.heads} heads of a layer`]
      : []),
    ...(all.length > MOST.layers ? [`the first ${MOST.layers} of ${all.length} layers`] : []),
  ];
  const note = hidden.length > 0 ? `<p>Shown: ${hidden.join(', ')}.</p>` : '';
  return `${note}<div class="scroll"><svg width="${left + heads * CELL}" height="${height}" role="img">${axis.join('')}${rows.join('')}</svg></div>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}
