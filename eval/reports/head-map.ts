/** Layers × heads as an SVG, one cell for each head, and the scale of its colours: for reports and for `attune heads`. */
import { html, type Markup, type Piece } from './markup.ts';

/** Shared by maps that are compared. */
export interface MapScale {
  readonly from: number;
  readonly to: number;
  /** The value in the middle, where values on either side of it mean different things. */
  readonly neutral?: number | undefined;
}

/**
 * @param neutral default 0 where there are negative values, else none: then the scale begins at 0, or below where values
 *   do. With one, the scale reaches as far on either side of it.
 */
export function scaleOf(
  maps: readonly (readonly (readonly number[])[])[],
  neutral: number | undefined = maps.flat(2).some((value) => value < 0) ? 0 : undefined,
): MapScale {
  const values = maps.flat(2);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (neutral === undefined) return { from: Math.min(0, low), to: high };
  const reach = Math.max(high - neutral, neutral - low);
  return { from: neutral - reach, to: neutral + reach, neutral };
}

/**
 * Cividis (Nuñez, Anderton and Renslow, 2018): one blue-to-yellow scale that people with and without colour vision
 * deficiency see alike, monotone in lightness, so that it survives print too. Stops at equal distances.
 */
const CIVIDIS = [
  ...['#00224e', '#123570', '#3b496c', '#575d6d', '#707173'],
  ...['#8a8678', '#a59c74', '#c3b369', '#e1cc55', '#fee838'],
];
/** Blue through white to brown (a relative of ColorBrewer's, safe for colour vision deficiency). */
const DIVERGING = [
  ...['#0b4a8f', '#3f7fbc', '#8fb8da', '#d3e2ef', '#f7f7f5'],
  ...['#f1ddc0', '#dfae6c', '#b9762a', '#7f4a08'],
];

const stopsOf = ({ neutral }: MapScale): readonly string[] => (neutral === undefined ? CIVIDIS : DIVERGING);

const MARGIN = 34;
const TOP = 22;
const BOTTOM = 22;

/** Side of a cell. Of a few heads they hold their number; maps of many stay beside each other. */
export const cellSize = (heads: number, room = 330): number =>
  Math.max(10, Math.min(46, Math.floor(room / heads)));

/** Width of a map. */
export const mapWidth = (heads: number, room?: number): number => MARGIN + heads * cellSize(heads, room) + 4;

/**
 * @param name what is mapped, for those who do not see it
 * @param rows [layer][head]
 * @param room pixels that the cells of a layer may take, where these can be small enough
 */
export function headMap(
  name: string,
  rows: readonly (readonly number[])[],
  scale: MapScale,
  room?: number,
): Markup {
  const heads = Math.max(...rows.map((row) => row.length));
  const cell = cellSize(heads, room);
  const every = cell < 18 ? 4 : cell < 26 ? 2 : 1;
  const labels = (count: number) => Array.from({ length: count }, (_, i) => i).filter((i) => i % every === 0);
  const gap = cell > 14 ? 1.5 : 1;
  const cells = rows.flatMap((row, layer) =>
    row.map((value, head): Piece => {
      const { css, ink } = colour(value, scale);
      const [x, y] = [MARGIN + head * cell, TOP + layer * cell];
      return html`<g tabindex="0" role="img"><title>layer ${layer}, head ${head}: ${exact(value)}</title><rect x="${x}" y="${y}" width="${cell - gap}" height="${cell - gap}" rx="${cell > 24 ? 4 : cell > 14 ? 2 : 1}" fill="${css}"/>${
        cell >= 38 &&
        html`<text class="value" x="${x + cell / 2 - 0.75}" y="${y + cell / 2 + 3.5}" fill="${ink}">${short(value)}</text>`
      }</g>`;
    }),
  );
  const [width, height] = [mapWidth(heads, room), TOP + rows.length * cell + BOTTOM];
  return html`<svg class="map" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-label="${name} by layer and head">
${labels(heads).map((head) => html`<text x="${MARGIN + head * cell + cell / 2}" y="${TOP - 6}">${head}</text>`)}
${labels(rows.length).map((layer) => html`<text class="end" x="${MARGIN - 7}" y="${TOP + layer * cell + cell / 2 + 4}">${layer}</text>`)}
${cells}
<text x="${MARGIN + (heads * cell) / 2}" y="${height - 5}">head</text>
<text x="10" y="${TOP + (rows.length * cell) / 2}" transform="rotate(-90 10 ${TOP + (rows.length * cell) / 2})">layer</text>
</svg>`;
}

export function mapLegend(name: string, scale: MapScale): Markup {
  const gradient = `linear-gradient(90deg, ${stopsOf(scale).join(', ')})`;
  return html`<div class="legend" role="img" aria-label="scale of ${name}: ${short(scale.from)} to ${short(scale.to)}"><span>${short(scale.from)}</span><i style="background: ${gradient}"></i><span>${short(scale.to)}</span>${scale.neutral !== undefined && html`<span class="middle">white at ${short(scale.neutral)}</span>`}</div>`;
}

/** Of maps and legends, on a page that has --ink, --soft and --paper. */
export const MAP_STYLE = `
svg.map { display: block; width: auto; max-width: none; height: auto; margin: 0; }
svg.map text { font-size: 11px; fill: var(--soft); text-anchor: middle; } svg.map text.end { text-anchor: end; }
svg.map text.value { fill: revert-layer; font-size: 10.5px; font-variant-numeric: tabular-nums; }
svg.map g { outline: none; } svg.map g:hover rect, svg.map g:focus-visible rect { stroke: var(--ink); stroke-width: 2; }
.legend { display: flex; align-items: center; gap: .5rem; font-size: .78rem; color: var(--soft); font-variant-numeric: tabular-nums; margin-bottom: .45rem; }
.legend i { flex: 0 1 12rem; height: .6rem; border-radius: 3px; } .legend .middle { margin-left: .6rem; }
`;

/** Two significant places, without more digits than fit a cell. */
export function short(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const text =
    size >= 0.1
      ? value.toFixed(size >= 10 ? 0 : 2)
      : size >= 0.001
        ? value.toFixed(3)
        : value.toExponential(0);
  return text.replace(/^-/, '−');
}

const exact = (value: number): string => value.toPrecision(4).replace(/^-/, '−');

interface Colour {
  readonly css: string;
  /** Of text on it. */
  readonly ink: string;
}

function colour(value: number, scale: MapScale): Colour {
  const stops = stopsOf(scale);
  const at = scale.to > scale.from ? (value - scale.from) / (scale.to - scale.from) : 0;
  const flat = scale.neutral === undefined ? at : scale.to > scale.from ? at : 0.5;
  const place = Math.min(1, Math.max(0, flat)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(place));
  const parts = (hex: string) => [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16));
  const [one, two] = [parts(stops[i]!), parts(stops[i + 1]!)];
  const mixed = one.map((part, c) => Math.round(part + (two[c]! - part) * (place - i)));
  // Relative luminance of sRGB (WCAG 2), to keep the contrast of the text above 4.5.
  const linear = mixed.map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  const hex = mixed.map((part) => part.toString(16).padStart(2, '0')).join('');
  return { css: `#${hex}`, ink: luminance > 0.18 ? '#111' : '#fff' };
}
