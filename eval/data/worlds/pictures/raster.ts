/** Scenes to pixels: 64 × 64 RGB, four samples a pixel, with a little noise. */
import { random } from '../random.ts';
import { COLOURS } from './kinds.ts';
import type { Scene, Thing } from './scene.ts';
import { type Part, SHAPES } from './shapes.ts';

export const SIZE = 64;
const CELL = 21;
const NOISE = 24;
const EXTENT = { big: 19, small: 13 } as const;

/** A picture: SIZE × SIZE × 3 bytes, row by row, RGB. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8Array;
}

function inside(part: Part, x: number, y: number): boolean {
  if ('ellipse' in part) {
    const [cx, cy, rx, ry] = part.ellipse;
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1;
  }
  // Even-odd rule: count the edges that a ray to the right crosses.
  const { polygon } = part;
  let odd = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [polygon[i]!, polygon[i + 1]!, polygon[j]!, polygon[j + 1]!];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

const SAMPLES = [0.25, 0.75] as const;

function paint(canvas: Float32Array, { kind, colour, size, cell, dx, dy, opacity }: Thing): void {
  const extent = EXTENT[size];
  const left = (cell % 3) * CELL + (CELL - extent) / 2 + dx;
  const top = Math.floor(cell / 3) * CELL + (CELL - extent) / 2 + dy;
  for (const part of SHAPES[kind]) {
    const rgb = COLOURS[colour].map((c) =>
      part.shade <= 1 ? c * part.shade : c + (255 - c) * (part.shade - 1),
    );
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(SIZE, top + extent); y++) {
      for (let x = Math.max(0, Math.floor(left)); x < Math.min(SIZE, left + extent); x++) {
        let hits = 0;
        for (const sy of SAMPLES) {
          for (const sx of SAMPLES)
            if (inside(part, (x + sx - left) / extent, (y + sy - top) / extent)) hits++;
        }
        const cover = (hits / 4) * opacity;
        if (cover === 0) continue;
        const at = (y * SIZE + x) * 3;
        for (let c = 0; c < 3; c++) canvas[at + c] = canvas[at + c]! * (1 - cover) + rgb[c]! * cover;
      }
    }
  }
}

function isLight(texture: Scene['background']['texture'], x: number, y: number): boolean {
  switch (texture) {
    case 'plain':
      return false;
    case 'stripes':
      return (x + y) % 8 < 3;
    case 'dots':
      return x % 6 < 2 && y % 6 < 2;
    case 'checks':
      return (x >> 3) % 2 === (y >> 3) % 2;
  }
}

/** Draw a scene. Pure: the noise is seeded by the scene's id. */
export function render(scene: Scene): Picture {
  const canvas = new Float32Array(SIZE * SIZE * 3);
  const { texture, dark, light } = scene.background;
  for (let i = 0; i < SIZE * SIZE; i++) {
    canvas.fill(isLight(texture, i % SIZE, Math.floor(i / SIZE)) ? light : dark, 3 * i, 3 * i + 3);
  }
  for (const thing of scene.things) paint(canvas, thing);
  const rng = random(`noise/${scene.id}`);
  const data = new Uint8Array(canvas.length);
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.max(0, Math.min(255, Math.round(canvas[i]! + (rng.next() + rng.next() - 1) * NOISE)));
  }
  return { width: SIZE, height: SIZE, data };
}

/** The picture as a binary PPM file, to look at. */
export function toPpm({ width, height, data }: Picture): Uint8Array {
  const header = new TextEncoder().encode(`P6\n${width} ${height}\n255\n`);
  const file = new Uint8Array(header.length + data.length);
  file.set(header);
  file.set(data, header.length);
  return file;
}
