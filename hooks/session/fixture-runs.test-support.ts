/** Test support: running fixture graphs from their golden inputs and comparing tensors on rows that mean something. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type OnnxFile, openModel } from '../../onnx/index.ts';
import type { Recognition } from '../../sites/index.ts';
import type { HookPoint } from '../../sites/points/index.ts';
import {
  type Fixture,
  floats,
  type GoldenCase,
  type GoldenTensor,
  integers,
} from '../../testbed/fixtures/load.ts';
import { completeFeeds, createSession, isPadded, loadRuntime, type Nested, type OrtTensor } from './index.ts';

export const runtime = await loadRuntime('node');

export type Feeds = Record<string, OrtTensor>;

const isDecoderFile = (path: string) => /decoder_model/.test(path);

/** Golden names start with the tower where the fixture has several; a file with one tower leaves it out. */
export function goldenName(point: string, path: string, kase: GoldenCase): string {
  const tower = isDecoderFile(path) ? 'decoder' : /vision_encoder/.test(path) ? 'vision' : 'encoder';
  const full = `${tower}.${point}`;
  return full in kase.outputs ? full : tower === 'vision' ? full : point;
}

/** Feeds of one golden case for one file of the fixture, from the files that run before it where it needs them. */
export async function feedsOf(
  fixture: Fixture,
  path: string,
  file: OnnxFile,
  kase: GoldenCase,
): Promise<Feeds> {
  const names = new Set(file.model.graph.inputs.map((input) => input.name));
  const given: Record<string, Nested> = {};
  for (const [name, tensor] of Object.entries(kase.inputs))
    given[name] = nested(values(tensor), tensor.shape);
  const before = (name: string) => runBefore(fixture, `onnx/${name}`, kase);
  if (names.has('audio_features')) given.audio_features = given.input_features!;
  if (isDecoderFile(path) && given.decoder_input_ids) {
    const encoded = await before('encoder_model.onnx');
    given.input_ids = given.decoder_input_ids;
    given.encoder_attention_mask = given.attention_mask!;
    for (const [name, tensor] of Object.entries(encoded)) {
      const input = name === 'last_hidden_state' ? 'encoder_hidden_states' : name.replace('present', 'past');
      given[input] = nested(Array.from(tensor.data as Float32Array), tensor.dims);
    }
  }
  if (names.has('inputs_embeds')) given.inputs_embeds = await embeddings(fixture, kase, before);
  const own = Object.fromEntries(
    Object.entries(given).filter(([name, value]) => names.has(name) && value !== undefined),
  );
  return completeFeeds(file.model.graph, own, runtime);
}

async function runBefore(
  fixture: Fixture,
  path: string,
  kase: GoldenCase,
): Promise<Record<string, OrtTensor>> {
  const file = await openModel(join(fixture.folder, path));
  const feeds = await feedsOf(fixture, path, file, kase);
  const { outputs } = await run(file, { model: file.model, sites: [] }, [], feeds);
  file.close();
  return outputs;
}

/** Token embeddings with the image's features where its tokens stand. */
async function embeddings(
  fixture: Fixture,
  { inputs }: GoldenCase,
  before: (name: string) => Promise<Record<string, OrtTensor>>,
): Promise<Nested> {
  const { inputs_embeds: embedded } = await before('embed_tokens.onnx');
  const { image_features: features } = await before('vision_encoder.onnx');
  const config = JSON.parse(readFileSync(join(fixture.folder, 'config.json'), 'utf8')) as {
    image_token_index: number;
  };
  const width = embedded!.dims.at(-1)!;
  const data = Float32Array.from(embedded!.data as Float32Array);
  let image = 0;
  integers(inputs.input_ids!).forEach((id, position) => {
    if (id !== config.image_token_index) return;
    data.set((features!.data as Float32Array).subarray(image * width, (image + 1) * width), position * width);
    image++;
  });
  return nested(Array.from(data), embedded!.dims);
}

function values(tensor: GoldenTensor): number[] {
  return tensor.dtype === 'float32' ? Array.from(floats(tensor)) : integers(tensor);
}

function nested(flat: readonly number[], shape: readonly number[]): Nested {
  const [length, ...rest] = shape;
  if (length === undefined) return flat[0]!;
  const stride = flat.length / length;
  return Array.from({ length }, (_, i) => nested(flat.slice(i * stride, (i + 1) * stride), rest));
}

export async function run(
  file: OnnxFile,
  recognition: Pick<Recognition, 'model' | 'sites'>,
  taps: readonly HookPoint[],
  feeds: Feeds,
  session: Readonly<Record<string, unknown>> = {},
): Promise<{ outputs: Record<string, OrtTensor>; tapped: ReadonlyMap<string, OrtTensor> }> {
  const hooked = await createSession(
    file,
    recognition,
    { taps },
    { runtime, session, padding: isPadded(feeds) },
  );
  let tapped: ReadonlyMap<string, OrtTensor> = new Map();
  hooked.listen((delivered) => {
    tapped = delivered;
  });
  const outputs = await hooked.run(feeds);
  await hooked.release();
  return { outputs, tapped };
}

/** Golden tensors hold rows for padding, too; what a model computes there means nothing. */
export function realRows({ inputs }: GoldenCase, path: string): boolean[][] {
  const own = /vision_encoder/.test(path) || (isDecoderFile(path) && inputs.decoder_input_ids);
  const mask = own ? undefined : inputs.attention_mask;
  const lead = mask ?? Object.values(inputs)[0]!;
  const B = lead.shape[0] ?? 1;
  const S = mask ? mask.shape[1]! : 0;
  const flags = mask ? integers(mask) : new Array<number>(B * S).fill(1);
  return Array.from({ length: B }, (_, b) => flags.slice(b * S, (b + 1) * S).map((flag) => flag === 1));
}

/** Largest difference over rows of real tokens. `axis` is where the rows (S) stand. */
export function difference(
  actual: OrtTensor,
  expected: GoldenTensor,
  axis: number,
  real: boolean[][],
): number {
  const want = floats(expected);
  const have = actual.data as Float32Array;
  const dims = expected.shape;
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const rows = dims[axis]!;
  const perBatch = dims.slice(1, axis).reduce((a, b) => a * b, 1);
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    const row = Math.floor(i / inner) % rows;
    const batch = Math.floor(i / (inner * rows * perBatch));
    if (real[batch]?.[row] === false) continue;
    worst = Math.max(worst, Math.abs(want[i]! - have[i]!));
  }
  return worst;
}

/** Largest difference relative to the largest value. */
export function relativeDifference(actual: OrtTensor, expected: OrtTensor): number {
  const have = actual.data as Float32Array;
  const want = expected.data as Float32Array;
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    scale = Math.max(scale, Math.abs(want[i]!));
    worst = Math.max(worst, Math.abs(want[i]! - have[i]!));
  }
  return scale === 0 ? worst : worst / scale;
}
