/** One name for an image however files spell it: COCO_val2014_000000310196.jpg, 000000310196 and 310196 are one image. */
export function imageKey(image: string | number): string {
  if (typeof image === 'number') return `${image}`;
  const name = image
    .split(/[\\/]/)
    .at(-1)!
    .replace(/\.(jpe?g|png|webp|bmp|gif|ppm)$/i, '');
  const coco = /^(?:COCO_[a-z]+\d{4}_)?0*(\d+)$/.exec(name);
  return coco ? coco[1]! : name;
}
