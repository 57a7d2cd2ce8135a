/** Attention over the prompt as a figure to keep: SVG, or the same as PNG. */
import type { TokenView } from '../../eval/reports/token-view/data.ts';
import { attention, plainToken } from '../../eval/reports/token-view/view.ts';

const CELL = 14;
const MARGIN = 90;

/** The mean over the heads of the last layer, one square for each setting. */
export function figureOf(view: TokenView): string {
  const S = view.tokens.length;
  const side = S * CELL;
  const width = view.settings.length * (side + MARGIN) + 20;
  const panels = view.settings.map(({ label, pattern }, panel) => {
    const numbers = Float32Array.from(atob(pattern), (letter) => (letter.charCodeAt(0) / 255) ** 2);
    const head = { layer: view.layers - 1, head: -1 };
    const cells = view.tokens.flatMap((_, query) =>
      view.tokens.slice(0, query + 1).map((_token, key) => {
        const p = attention(view, numbers, head, query, key);
        return p < 0.002
          ? ''
          : `<rect x="${key * CELL}" y="${query * CELL}" width="${CELL}" height="${CELL}" fill="#0072b2" fill-opacity="${Math.sqrt(p).toFixed(3)}"/>`;
      }),
    );
    const names = view.tokens.map(
      (token, i) =>
        `<text x="-4" y="${i * CELL + CELL - 3}" text-anchor="end">${escaped(plainToken(token))}</text>`,
    );
    const frame = `<rect width="${side}" height="${side}" fill="none" stroke="#999"/>`;
    return `<g transform="translate(${MARGIN + panel * (side + MARGIN)} 30)"><text y="-8" font-weight="600">${escaped(label)}, layer ${head.layer}, mean of its heads</text>${cells.join('')}${names.join('')}${frame}</g>`;
  });
  const size = `width="${width}" height="${side + 45}" viewBox="0 0 ${width} ${side + 45}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="10"><rect width="100%" height="100%" fill="#fff"/>${panels.join('')}</svg>`;
}

const escaped = (text: string): string =>
  text.replace(/[&<>]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[letter]!);

export async function pngOf(svg: string): Promise<Blob> {
  const picture = new Image();
  picture.src = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  await picture.decode();
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: 2 * picture.width, height: 2 * picture.height });
  canvas.getContext('2d')!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(picture.src);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error('the browser makes no PNG of it')))),
  );
}

export function save(name: string, blob: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
