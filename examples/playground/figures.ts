/** The page's figures: a head's attention over tokens, the answer by order, a picture with attention over its patches. */
import type { TokenView } from '../../eval/reports/token-view/data.ts';
import { attention, type Chosen, patternsOf, plainToken } from '../../eval/reports/token-view/view.ts';
import { BASELINE, escaped, INTERVENED, type Ink, svg } from './figure.ts';
import { type OrderRow, PATCH } from './work.ts';

const CELL = 14;
const MARGIN = 90;

const headName = ({ layer, head }: Pick<Chosen, 'layer' | 'head'>): string =>
  `layer ${layer}, ${head < 0 ? 'mean of its heads' : `head ${head}`}`;

/** The chosen head, one square for each setting: rows are tokens that look, columns those looked at. */
export function attentionFigure(view: TokenView, chosen: Chosen, colours: Ink): string {
  const S = view.tokens.length;
  const side = S * CELL;
  const panels = patternsOf(view).map((pattern, panel) => {
    const cells: string[] = [];
    for (let query = 0; query < S; query++) {
      for (let key = 0; key <= query; key++) {
        const p = attention(view, pattern, chosen, query, key);
        if (p < 0.002) continue;
        cells.push(
          `<rect x="${key * CELL}" y="${query * CELL}" width="${CELL}" height="${CELL}" fill="${INTERVENED}" fill-opacity="${Math.sqrt(p).toFixed(3)}"/>`,
        );
      }
    }
    const names = view.tokens.map(
      (token, i) =>
        `<text x="-4" y="${i * CELL + CELL - 3}" text-anchor="end" font-size="10">${escaped(plainToken(token))}</text>`,
    );
    const frame = `<rect width="${side}" height="${side}" fill="none" stroke="${colours.soft}"/>`;
    const title = `<text y="-10" font-weight="600">${escaped(view.settings[panel]!.label)}</text>`;
    return `<g transform="translate(${MARGIN + panel * (side + MARGIN)} 50)">${title}${cells.join('')}${names.join('')}${frame}</g>`;
  });
  const width = view.settings.length * (side + MARGIN) + 20;
  const caption = `${view.title}: ${headName(chosen)}`;
  const body = `<text x="12" y="20" font-weight="600">${escaped(caption)}</text>${panels.join('')}`;
  return svg(width, side + 65, colours, caption, body);
}

const ROW = 22;

/** A row for each order of the documents: the answer's probability without and with the method, from 0 to 1. */
export function orderFigure(
  rows: readonly OrderRow[],
  letters: readonly string[],
  names: { readonly answer: string; readonly method: string },
  colours: Ink,
): string {
  const [left, wide, top] = [120, 340, 58];
  const x = (p: number) => left + wide * p;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (p) =>
      `<line x1="${x(p)}" x2="${x(p)}" y1="${top}" y2="${top + rows.length * ROW}" stroke="${colours.rule}"/><text x="${x(p)}" y="${top + rows.length * ROW + 16}" text-anchor="middle" fill="${colours.soft}">${100 * p} %</text>`,
  );
  const dots = rows.map(({ order, baseline, intervened }, i) => {
    const y = top + i * ROW + ROW / 2;
    const name = order.map((place) => letters[place]).join(' ');
    const line = `<line x1="${x(baseline)}" x2="${x(intervened)}" y1="${y}" y2="${y}" stroke="${colours.soft}"/>`;
    const before = `<circle cx="${x(baseline)}" cy="${y}" r="5" fill="${BASELINE}"><title>baseline ${percent(baseline)}</title></circle>`;
    const after = `<rect x="${x(intervened) - 4.5}" y="${y - 4.5}" width="9" height="9" fill="${INTERVENED}"><title>${escaped(names.method)} ${percent(intervened)}</title></rect>`;
    return `<text x="${left - 12}" y="${y + 4}" text-anchor="end">${name}</text>${line}${before}${after}`;
  });
  const key = `<circle cx="${left}" cy="38" r="5" fill="${BASELINE}"/><text x="${left + 12}" y="42">baseline</text><rect x="${left + 86}" y="33.5" width="9" height="9" fill="${INTERVENED}"/><text x="${left + 102}" y="42">${escaped(names.method)}</text>`;
  const title = `Probability of “${names.answer.trim()}” by the order of the documents`;
  const head = `<text x="12" y="18" font-weight="600">${escaped(title)}</text>${key}`;
  const body = head + ticks.join('') + dots.join('');
  return svg(left + wide + 40, top + rows.length * ROW + 28, colours, title, body);
}

export const percent = (p: number): string => `${(100 * p).toFixed(1)} %`;

const SIDE = 256;

/** The picture under each setting, its patches lit by the attention that the chosen token gives them. */
export function patchFigure(view: TokenView, chosen: Chosen, picture: string, colours: Ink): string {
  const patches = view.tokens.flatMap((token, i) => (token === PATCH ? [i] : []));
  const across = Math.round(Math.sqrt(patches.length));
  const size = SIDE / across;
  const seen = patternsOf(view).map((pattern) =>
    patches.map((key) => (key <= chosen.query ? attention(view, pattern, chosen, chosen.query, key) : 0)),
  );
  // One scale for all settings, so that they can be compared.
  const most = Math.max(1e-6, ...seen.flat());
  const panels = seen.map((all, panel) => {
    const lit = all.map((p, i) => {
      const at = `x="${(i % across) * size}" y="${Math.floor(i / across) * size}" width="${size}" height="${size}"`;
      return `<rect ${at} fill="#000" fill-opacity="${(0.72 * (1 - p / most)).toFixed(3)}"><title>${percent(p)}</title></rect>`;
    });
    const total = percent(all.reduce((sum, p) => sum + p, 0));
    const image = `<image href="${picture}" width="${SIDE}" height="${SIDE}" style="image-rendering:pixelated" image-rendering="pixelated"/>`;
    const title = `<text y="-10"><tspan font-weight="600">${escaped(view.settings[panel]!.label)}</tspan> looks at the picture with ${total}</text>`;
    return `<g transform="translate(${12 + panel * (SIDE + 24)} 62)">${title}${image}${lit.join('')}</g>`;
  });
  const title = `What “${plainToken(view.tokens[chosen.query]!)}” looks at: ${headName(chosen)}`;
  const head = `<text x="12" y="20" font-weight="600">${escaped(title)}</text>`;
  return svg(view.settings.length * (SIDE + 24) + 12, SIDE + 76, colours, title, head + panels.join(''));
}
