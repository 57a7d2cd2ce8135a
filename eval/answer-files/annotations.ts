/**
 * What is in each image, from the files that say so: a map from image to objects, or COCO's own annotation files
 * (instances_*.json: boxes with categories; captions_*.json: reference captions). Several files are united.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { truthOf } from '../captions/chair.ts';
import type { Vocabulary } from '../captions/vocabulary.ts';
import { readJson } from '../data/json-file.ts';
import { imageKey } from './image-key.ts';

const id = z.union([z.string(), z.number()]);
const objectMap = z.record(z.string(), z.array(z.string()));
const instances = z.looseObject({
  annotations: z.array(z.looseObject({ image_id: id, category_id: z.number() })),
  categories: z.array(z.looseObject({ id: z.number(), name: z.string() })),
});
const references = z.looseObject({
  annotations: z.array(z.looseObject({ image_id: id, caption: z.string() })),
});

/**
 * @returns image → its objects by the vocabulary's names
 * @throws AttuneError DATA_FILE, DATA_SYNTAX, ANNOTATION_FORMAT
 */
export function readTruth(paths: readonly string[], vocabulary: Vocabulary): Map<string, Set<string>> {
  const objects = new Map<string, string[]>();
  const captions = new Map<string, string[]>();
  const add = (to: Map<string, string[]>, image: string | number, values: readonly string[]) => {
    const list = to.get(imageKey(image));
    if (list) list.push(...values);
    else to.set(imageKey(image), [...values]);
  };
  for (const path of paths) {
    const json = readJson(path);
    const asInstances = instances.safeParse(json);
    const asReferences = references.safeParse(json);
    const asMap = objectMap.safeParse(json);
    if (asInstances.success) {
      const names = new Map(asInstances.data.categories.map((category) => [category.id, category.name]));
      for (const { image_id, category_id } of asInstances.data.annotations) {
        add(objects, image_id, [names.get(category_id) ?? unknownCategory(path, category_id)]);
      }
    } else if (asReferences.success) {
      for (const { image_id, caption } of asReferences.data.annotations) add(captions, image_id, [caption]);
    } else if (asMap.success) {
      for (const [image, names] of Object.entries(asMap.data)) add(objects, image, names);
    } else {
      throw new AttuneError('ANNOTATION_FORMAT', {
        at: path,
        found: `JSON beginning ${JSON.stringify(json).slice(0, 60)}`,
        expected: 'a map from image to object names, or COCO instances or captions',
      });
    }
  }
  return new Map(
    [...new Set([...objects.keys(), ...captions.keys()])].map((image) => [
      image,
      truthOf(
        (objects.get(image) ?? []).map((name) => vocabulary.nameOf(name)),
        captions.get(image) ?? [],
        vocabulary,
      ),
    ]),
  );
}

function unknownCategory(path: string, category: number): never {
  throw new AttuneError('ANNOTATION_FORMAT', {
    at: path,
    found: `category ${category}`,
    expected: 'one that is listed under "categories"',
  });
}
