/** Pictures of items: files, or scenes of the testbed that are drawn when they are asked for. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { AttuneError } from '../../errors.ts';
import { contained, type DataFolder } from './contained.ts';
import { render, sceneOf } from './worlds/pictures/index.ts';
import { SPLITS, type Split } from './worlds/split.ts';

export interface ItemPicture {
  /** As the data has it: a path, or a scene's id. */
  name: string;
  /** Of the file's bytes; a scene is its own content. */
  sha256?: string;
  /** Where the file is on this machine; not part of what the item is. */
  path?: string;
}

const SCENE = /^scene\/([a-z]+)\/(\d+)\/(\d+)$/;

/**
 * @param folder below which relative paths lie
 * @throws AttuneError DATA_IMAGE
 */
export function placePicture(name: string, folder: DataFolder, at: string): ItemPicture {
  if (SCENE.test(name)) return { name };
  const path = name === '' ? '' : contained(name, folder, at);
  if (!existsSync(path)) {
    throw new AttuneError('DATA_IMAGE', {
      at,
      found: name === '' ? 'no picture' : `no file ${path}`,
      expected: 'a picture',
      hint: 'Name the folder of the pictures with --images',
    });
  }
  return { name, sha256: createHash('sha256').update(readFileSync(path)).digest('hex'), path };
}

/** RGB, row by row. */
export interface Pixels {
  data: Uint8Array;
  width: number;
  height: number;
}

/** The pixels of a scene; undefined for a file, which the model's own library reads. @throws AttuneError TASK_SPLIT */
export function drawn({ name }: ItemPicture): Pixels | undefined {
  const [, split, seed, index] = SCENE.exec(name) ?? [];
  if (split === undefined) return undefined;
  if (!SPLITS.includes(split as Split)) {
    throw new AttuneError('TASK_SPLIT', { found: `the scene "${name}"`, expected: SPLITS.join(', ') });
  }
  return render(sceneOf(split as Split, Number(seed), Number(index)));
}
