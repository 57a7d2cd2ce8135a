/** Figures as SVG, coloured for the page or for paper, and how they are kept: SVG, or the same as PNG. */

/** Colours by what they are for; on the page they follow its own, dark or light. */
export interface Ink {
  readonly ink: string;
  readonly soft: string;
  readonly rule: string;
  readonly paper: string;
}

export const ON_PAGE: Ink = {
  ink: 'var(--ink)',
  soft: 'var(--soft)',
  rule: 'var(--rule)',
  paper: 'none',
};
export const ON_PAPER: Ink = { ink: '#1a1c20', soft: '#5d636d', rule: '#dcdee1', paper: '#fff' };

/** Told apart by those who see few colours (Okabe and Ito). */
export const BASELINE = '#d55e00';
export const INTERVENED = '#0072b2';

export const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter]!);

export function svg(width: number, height: number, { paper, ink }: Ink, title: string, body: string): string {
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escaped(title)}" font-family="system-ui, sans-serif" font-size="12" fill="${ink}"><rect width="100%" height="100%" fill="${paper}"/>${body}</svg>`;
}

/** Twice as large, for screens that are read closely. */
export async function pngOf(text: string): Promise<Blob> {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await picture.decode();
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: 2 * picture.width, height: 2 * picture.height });
  canvas.getContext('2d')!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error('the browser makes no PNG of it')))),
  );
}

export function save(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement('a'), { href: address, download: name });
  link.click();
  // A download may begin after the click has returned.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
