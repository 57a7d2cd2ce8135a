/** Layers × heads as an SVG, one square for each head: pale is low, dark is high, whatever the theme of the page. */
import { html, type Markup } from './markup.ts';

/** Ends of the scale, shared by maps that are compared. */
export interface MapScale {
  low: number;
  high: number;
  /** The value that does nothing, which stays blank; values on either side of it get a hue each. */
  neutral?: number | undefined;
}

export function scaleOf(maps: readonly (readonly (readonly number[])[])[], neutral?: number): MapScale {
  const values = maps.flat(2);
  return { low: Math.min(...values), high: Math.max(...values), neutral };
}

const MARGIN = 30;
const [FEW, MANY] = [26, 9];

export function headMap(title: string, rows: readonly (readonly number[])[], scale: MapScale): Markup {
  const heads = Math.max(...rows.map((row) => row.length));
  const size = Math.max(MANY, Math.min(FEW, Math.floor(320 / Math.max(heads, rows.length))));
  const [width, height] = [MARGIN + heads * size, MARGIN + rows.length * size];
  const every = size < 18 ? 4 : 1;
  const named = (count: number) => Array.from({ length: count }, (_, i) => i).filter((i) => i % every === 0);
  const y = (layer: number) => 12 + layer * size;
  return html`<figure class="heads"><figcaption>${title}</figcaption>
<svg width="${width + 4}" height="${height}" viewBox="0 0 ${width + 4} ${height}" role="img" aria-label="${title} by layer and head">
${named(rows.length).map((layer) => html`<text class="tick end" x="${MARGIN - 6}" y="${y(layer) + size / 2 + 4}">${layer}</text>`)}
${named(heads).map((head) => html`<text class="tick" x="${MARGIN + (head + 0.5) * size}" y="${height - 4}">${head}</text>`)}
${rows.map((row, layer) =>
  row.map(
    (value, head) =>
      html`<rect x="${MARGIN + head * size}" y="${y(layer)}" width="${size - 1}" height="${size - 1}" class="${hue(value, scale)}" style="--at:${shade(value, scale)}"><title>layer ${layer}, head ${head}: ${figure(value)}</title></rect>`,
  ),
)}</svg>
<span class="soft">${figure(scale.low)} … ${figure(scale.high)}${scale.neutral !== undefined && `, blank at ${figure(scale.neutral)}`}</span></figure>`;
}

const figure = (value: number): string => `${Number(value.toPrecision(3))}`;

const hue = (value: number, { neutral }: MapScale): string =>
  neutral !== undefined && value < neutral ? 'below' : 'above';

/** 0 where nothing happens, 1 at the end of the scale, by tenths of a per cent. */
function shade(value: number, { low, high, neutral }: MapScale): string {
  const from = neutral ?? low;
  const reach = neutral === undefined ? high - low : Math.max(high - neutral, neutral - low);
  return (reach > 0 ? Math.abs(value - from) / reach : 0).toFixed(3).replace(/\.?0+$/, '');
}
