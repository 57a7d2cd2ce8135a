/**
 * Opening a model: skim, decode, check. The result keeps its source open for payloads that are read later.
 */
import { AttuneError } from '../errors.ts';
import { decodeModel } from './decode.ts';
import type { Model } from './model.ts';
import { skim } from './skim.ts';
import { type ByteSource, blobSource, bytesSource, drive, fileSource } from './source.ts';

/** What attune has been tested to read. ONNX Runtime may support less; it says so when a session is made. */
export const SUPPORTED = { ir: [3, 14], opset: [7, 28] } as const;

/** An opened model. */
export interface OnnxFile {
  /** The model; large tensors are left in the file. */
  readonly model: Model;
  /** Where its bytes are. */
  readonly source: ByteSource;
  /** Bytes read from the source to get here. */
  readonly bytesRead: number;
  /** Closes the file. */
  close(): void;
}

/**
 * Open an ONNX model. Tensor payloads above 1 KiB are not read.
 *
 * @param from path (Node), the file's bytes, a Blob, or a source of bytes
 * @throws AttuneError FILE_NOT_FOUND, FILE_UNREADABLE, ONNX_EMPTY, ONNX_LFS_POINTER, ONNX_TRUNCATED,
 *   ONNX_MALFORMED, ONNX_NO_GRAPH, ONNX_VERSION
 */
export async function openModel(
  from: string | Uint8Array | Blob | ByteSource,
  name?: string,
): Promise<OnnxFile> {
  const source = await sourceOf(from, name);
  try {
    await refuseOtherFiles(source);
    const skimmed = await drive(skim(source.size), source);
    const model = decodeModel(skimmed, source.size);
    checkVersions(model, source.name);
    return { model, source, bytesRead: skimmed.bytesRead, close: () => source.close() };
  } catch (error) {
    source.close();
    if (error instanceof AttuneError && !error.at?.includes(source.name)) {
      const at = error.at ? `${source.name}, ${error.at}` : source.name;
      throw new AttuneError(error.code, { ...error.toJSON(), at, cause: error });
    }
    throw error;
  }
}

async function sourceOf(from: Parameters<typeof openModel>[0], name?: string): Promise<ByteSource> {
  if (typeof from === 'string') return fileSource(from);
  if (from instanceof Uint8Array) return bytesSource(from, name);
  return from instanceof Blob ? blobSource(from, name) : from;
}

/** Files that are often found where a model should be. */
async function refuseOtherFiles(source: ByteSource): Promise<void> {
  if (source.size === 0) {
    throw new AttuneError('ONNX_EMPTY', { found: 'an empty file', hint: 'The download did not complete.' });
  }
  const head = new TextDecoder('latin1').decode(await source.read({ offset: 0, length: 64 }));
  if (head.startsWith('version https://git-lfs')) {
    throw new AttuneError('ONNX_LFS_POINTER', {
      found: 'a Git LFS pointer',
      expected: 'the model itself',
      hint: 'Run `git lfs pull`, or download the file from the Hub.',
    });
  }
}

function checkVersions(model: Model, name: string): void {
  const [lowIr, highIr] = SUPPORTED.ir;
  if (model.irVersion < lowIr || model.irVersion > highIr) {
    throw new AttuneError('ONNX_VERSION', {
      at: name,
      found: `IR version ${model.irVersion}`,
      expected: `${lowIr} to ${highIr}`,
      hint: 'Convert the model with onnx.version_converter.',
    });
  }
  const [lowOpset, highOpset] = SUPPORTED.opset;
  const opset = opsetVersion(model);
  if (opset !== undefined && (opset < lowOpset || opset > highOpset)) {
    throw new AttuneError('ONNX_VERSION', {
      at: name,
      found: `ai.onnx opset ${opset}`,
      expected: `${lowOpset} to ${highOpset}`,
      hint: 'Convert the model with onnx.version_converter.',
    });
  }
}

/** Version of an operator set the model imports; the default domain where none is named. */
export function opsetVersion(model: Pick<Model, 'opsetImports'>, domain = ''): number | undefined {
  return model.opsetImports.find((opset) => opset.domain === domain)?.version;
}
