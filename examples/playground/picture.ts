/** Pictures to ask about: those of the testbed's picture world, or one that the visitor brought. */
import { pictureItems, render } from '../../eval/data/worlds/pictures/index.ts';

/** RGBA. */
type Drawn = Pick<ImageData, 'data' | 'width' | 'height'>;

let brought: Drawn | undefined;

/** A picture of the visitor's in place of the numbered ones; it stays on the page and is not part of a link. */
export async function bring(file: Blob | undefined): Promise<void> {
  brought = undefined;
  if (!file) return;
  const bitmap = await createImageBitmap(file);
  const side = Math.min(bitmap.width, bitmap.height);
  const size = Math.min(side, 512);
  const context = contextOf(size, size);
  context.drawImage(
    bitmap,
    (bitmap.width - side) / 2,
    (bitmap.height - side) / 2,
    side,
    side,
    0,
    0,
    size,
    size,
  );
  brought = context.getImageData(0, 0, size, size);
}

export const isBrought = (): boolean => brought !== undefined;

export async function drawnPicture(number: number): Promise<Drawn> {
  if (brought) return brought;
  const { scene } = pictureItems('caption', 'test', number + 1, 0)[number]!;
  const { data, width, height } = render(scene);
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return { data: rgba, width, height };
}

/** As a data: address, for figures. */
export async function pictureAddress(number: number): Promise<string> {
  const { data, width, height } = await drawnPicture(number);
  const context = contextOf(width, height);
  context.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
  return context.canvas.toDataURL('image/png');
}

function contextOf(width: number, height: number): CanvasRenderingContext2D {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  return canvas.getContext('2d')!;
}
