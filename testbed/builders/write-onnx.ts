/**
 * Writing a model to disk piece by piece: payloads that are ranges are read (or made) and written one tensor at
 * a time, into the file itself or into an external data file beside it.
 * External data: onnx.ai/onnx/repo-docs/ExternalData.html.
 */
import { closeSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type ByteSource,
  changeGraph,
  changeModel,
  encodeModel,
  type Model,
  type Tensor,
} from '../../onnx/index.ts';

export interface OnnxSource {
  readonly model: Model;
  /** Where payload ranges are read from. */
  readonly source: ByteSource;
}

export interface WriteOptions {
  /** File name for the weights, for instance 'model.onnx_data'; default: inline in the .onnx file. */
  externalData?: string | undefined;
  /** Called after every piece with the bytes written so far to this file. */
  onProgress?: ((written: number) => void) | undefined;
}

/** External tensors start at a multiple of a page, so that the runtime can map them. */
const ALIGNMENT = 4096;

/** Write the model to `path`. The file appears under its name only when it is complete. */
export async function writeOnnx(
  path: string,
  { model, source }: OnnxSource,
  { externalData, onProgress }: WriteOptions = {},
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const written = externalData
    ? await writeExternal(join(dirname(path), externalData), externalData, model, source, onProgress)
    : model;
  await writeFile(
    path,
    async (put) => {
      for (const piece of encodeModel(written)) {
        put(piece instanceof Uint8Array ? piece : await source.read(piece));
      }
    },
    onProgress,
  );
}

/** Write every payload range to the data file; returns the model that refers to them there. */
async function writeExternal(
  path: string,
  location: string,
  model: Model,
  source: ByteSource,
  onProgress: WriteOptions['onProgress'],
): Promise<Model> {
  const initializers: Tensor[] = [];
  await writeFile(
    path,
    async (put) => {
      let offset = 0;
      for (const tensor of model.graph.initializers) {
        const { payload } = tensor;
        if (payload?.kind !== 'inline' || payload.field !== 9 || payload.piece instanceof Uint8Array) {
          initializers.push(tensor);
          continue;
        }
        const { length } = payload.piece;
        const padding = -offset & (ALIGNMENT - 1);
        put(new Uint8Array(padding));
        put(await source.read(payload.piece));
        offset += padding;
        initializers.push({
          ...tensor,
          raw: undefined,
          payload: { kind: 'external', location, offset, length },
        });
        offset += length;
      }
    },
    onProgress,
  );
  return changeModel(model, { graph: changeGraph(model.graph, { initializers }) });
}

async function writeFile(
  path: string,
  body: (put: (bytes: Uint8Array) => void) => Promise<void>,
  onProgress: WriteOptions['onProgress'],
): Promise<void> {
  const partial = `${path}.partial`;
  const fd = openSync(partial, 'w');
  try {
    let total = 0;
    await body((bytes) => {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      total += bytes.length;
      onProgress?.(total);
    });
  } finally {
    closeSync(fd);
  }
  renameSync(partial, path);
}
