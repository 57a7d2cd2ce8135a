/** Data that come with attune: in the package under dist/data (.ci/ship.mjs puts them there), in a checkout where they are made. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const packed = existsSync(at('data'));

/** Folders of the demo's models, of the profiles calibrated for them, and of golden vectors of single methods. */
export const SHIPPED = {
  models: at(packed ? 'data/models' : 'testbed/models'),
  profiles: at(packed ? 'data/profiles' : 'bench/results/profiles'),
  golden: at(packed ? 'data/golden' : 'testbed/golden'),
} as const;

export interface ShippedModel {
  readonly folder: string;
  /** The package has the vision-language model's decoder in 4 bits alone: that of float32 would not fit. */
  readonly dtype: 'fp32' | 'q4';
  /** Path of a profile that was calibrated for these files. */
  profile(name: string): string;
}

/** A model of the demo, with the files that are there. */
export function shippedModel(name: string): ShippedModel {
  const folder = join(SHIPPED.models, name);
  const graphs = ['model.onnx', 'decoder_model_merged.onnx'].map((file) => join(folder, 'onnx', file));
  const dtype = !existsSync(folder) || graphs.some((file) => existsSync(file)) ? 'fp32' : 'q4';
  return {
    folder,
    dtype,
    profile: (of) =>
      join(
        SHIPPED.profiles,
        `${dtype === 'fp32' ? of : of.replace(`${name}.`, `${name}.${dtype}.`)}.profile.json`,
      ),
  };
}
