/**
 * The model folders to verify: one in Hub layout as it is, or the stories260K checkpoint converted on the spot. The
 * converter is part of the testbed, which is in a checkout of the repository and not in the published package.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';

/** What testbed/stories260k/convert.ts exports; named here because the package must build without it. */
interface Converter {
  convertStories260K(weights: string, out: string): Promise<Record<string, string>>;
}

const CONVERTER = new URL('../../testbed/stories260k/convert.ts', import.meta.url);

export interface ModelFolders extends Disposable {
  /** Folder in Hub layout by graph form. */
  readonly byForm: Readonly<Record<string, string>>;
}

/**
 * @param weights folder in Hub layout, or with stories260K.bin and tok512.bin
 * @throws AttuneError FILE_NOT_FOUND, CHECKOUT_NEEDED, CHECKPOINT_FORMAT
 */
export async function modelFolders(weights: string): Promise<ModelFolders> {
  if (existsSync(join(weights, 'config.json'))) {
    return { byForm: { 'as given': weights }, [Symbol.dispose]: () => {} };
  }
  if (!existsSync(weights)) throw new AttuneError('FILE_NOT_FOUND', { at: weights, found: 'no such folder' });
  if (!existsSync(CONVERTER)) {
    throw new AttuneError('CHECKOUT_NEEDED', {
      at: weights,
      found: 'a checkpoint, and no converter in this installation',
      expected: 'a folder in Hub layout (config.json, onnx/model.onnx, tokenizer.json)',
      hint: 'Convert it in a checkout of the repository: npx tsx testbed/stories260k/convert.ts',
    });
  }
  const converter = (await import(CONVERTER.href)) as Converter;
  const folder = mkdtempSync(join(tmpdir(), 'attune-verify-'));
  const dispose = () => rmSync(folder, { recursive: true });
  try {
    const byForm = await converter.convertStories260K(weights, folder);
    return { byForm, [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}
