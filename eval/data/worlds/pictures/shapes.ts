/** The outline of each kind in the unit square: parts painted in order, each in a shade of the thing's colour. */
import type { Kind } from './kinds.ts';

/** Shade 1 is the thing's colour, below darker, above mixed with white. */
export type Part =
  | { ellipse: [cx: number, cy: number, rx: number, ry: number]; shade: number }
  | { polygon: number[]; shade: number };

const ellipse = (cx: number, cy: number, rx: number, ry: number, shade = 1): Part => ({
  ellipse: [cx, cy, rx, ry],
  shade,
});
const polygon = (shade: number, ...polygonPoints: number[]): Part => ({ polygon: polygonPoints, shade });
const rect = (x: number, y: number, w: number, h: number, shade = 1): Part =>
  polygon(shade, x, y, x + w, y, x + w, y + h, x, y + h);

const star = (points: number, outer: number, inner: number): number[] =>
  Array.from({ length: 2 * points }, (_, i) => {
    const angle = (Math.PI * i) / points - Math.PI / 2;
    const r = i % 2 === 0 ? outer : inner;
    return [0.5 + r * Math.cos(angle), 0.5 + r * Math.sin(angle)];
  }).flat();

export const SHAPES: Record<Kind, readonly Part[]> = {
  cup: [
    ellipse(0.78, 0.5, 0.2, 0.22),
    ellipse(0.78, 0.5, 0.1, 0.11, 0.4),
    polygon(1, 0.1, 0.2, 0.72, 0.2, 0.64, 0.9, 0.18, 0.9),
  ],
  plate: [ellipse(0.5, 0.55, 0.5, 0.3), ellipse(0.5, 0.55, 0.3, 0.16, 0.6)],
  tree: [rect(0.42, 0.65, 0.16, 0.35, 0.5), polygon(1, 0.5, 0, 0.95, 0.7, 0.05, 0.7)],
  bird: [
    ellipse(0.45, 0.55, 0.34, 0.22),
    ellipse(0.78, 0.34, 0.15, 0.15),
    polygon(0.5, 0.9, 0.28, 1, 0.36, 0.9, 0.42),
    polygon(0.6, 0.3, 0.55, 0.6, 0.5, 0.3, 0.05),
  ],
  boat: [
    polygon(1, 0, 0.65, 1, 0.65, 0.8, 0.95, 0.2, 0.95),
    polygon(1.5, 0.5, 0.02, 0.88, 0.56, 0.5, 0.56),
    rect(0.45, 0.02, 0.06, 0.63, 0.5),
  ],
  fish: [
    ellipse(0.58, 0.5, 0.4, 0.25),
    polygon(0.7, 0.28, 0.5, 0, 0.22, 0, 0.78),
    ellipse(0.8, 0.43, 0.06, 0.06, 0.1),
  ],
  house: [
    rect(0.12, 0.45, 0.76, 0.52),
    polygon(0.6, 0.5, 0, 1, 0.47, 0, 0.47),
    rect(0.4, 0.64, 0.2, 0.33, 0.25),
  ],
  flower: [
    rect(0.46, 0.5, 0.08, 0.5, 0.5),
    ...[0, 1, 2, 3, 4].map((i) =>
      ellipse(
        0.5 + 0.22 * Math.sin((2 * Math.PI * i) / 5),
        0.34 - 0.22 * Math.cos((2 * Math.PI * i) / 5),
        0.15,
        0.15,
      ),
    ),
    ellipse(0.5, 0.34, 0.12, 0.12, 0.3),
  ],
  car: [
    rect(0, 0.45, 1, 0.3),
    polygon(1.4, 0.2, 0.45, 0.32, 0.2, 0.7, 0.2, 0.84, 0.45),
    ellipse(0.22, 0.77, 0.15, 0.15, 0.2),
    ellipse(0.78, 0.77, 0.15, 0.15, 0.2),
  ],
  lamp: [
    rect(0.45, 0.3, 0.1, 0.62, 0.5),
    rect(0.28, 0.9, 0.44, 0.1, 0.5),
    polygon(1, 0.34, 0, 0.66, 0, 0.86, 0.36, 0.14, 0.36),
  ],
  sun: [{ polygon: star(8, 0.5, 0.3), shade: 1 }, ellipse(0.5, 0.5, 0.27, 0.27, 1.4)],
  cloud: [ellipse(0.28, 0.6, 0.28, 0.22), ellipse(0.72, 0.6, 0.28, 0.22), ellipse(0.5, 0.42, 0.27, 0.25)],
  book: [
    polygon(1, 0, 0.2, 0.48, 0.3, 0.48, 0.9, 0, 0.8),
    polygon(0.7, 1, 0.2, 0.52, 0.3, 0.52, 0.9, 1, 0.8),
  ],
  pencil: [
    polygon(1, 0.12, 0.72, 0.72, 0.02, 0.95, 0.2, 0.34, 0.92),
    polygon(0.3, 0.12, 0.72, 0.34, 0.92, 0.02, 1),
  ],
  moon: [polygon(1, ...crescent())],
  star: [{ polygon: star(5, 0.52, 0.21), shade: 1 }],
};

/** Outer arc of one circle, inner arc of a circle moved to the right. */
function crescent(): number[] {
  const arc = (cx: number, r: number, from: number, to: number): number[] =>
    Array.from({ length: 13 }, (_, i) => {
      const angle = from + ((to - from) * i) / 12;
      return [cx + r * Math.cos(angle), 0.5 + r * Math.sin(angle)];
    }).flat();
  return [...arc(0.5, 0.5, 0.3 * Math.PI, 1.7 * Math.PI), ...arc(0.75, 0.42, 1.6 * Math.PI, 0.4 * Math.PI)];
}
