/** Test support: running fixture graphs from their golden inputs and comparing tensors on rows that mean something. */
import { join } from 'node:path';
import {
  type Fixture,
  floats,
  type GoldenCase,
  type GoldenTensor,
  integers,
} from '../../testbed/fixtures/load.ts';
import { type OnnxFile, openModel } from '../onnx/index.ts';
import type { HookPoint } from '../points/index.ts';
import { completeFeeds, createSession, loadRuntime, type Nested, type OrtTensor } from '../session/index.ts';
import type { Recognition } from '../sites/index.ts';

export const runtime = await loadRuntime('node');

export type Feeds = Record<string, OrtTensor>;

const isDecoderFile = (path: string) => /decoder_model/.test(path);
const isEncoderFile = (path: string) => /encoder_model/.test(path);

/** Golden names of an encoder-decoder start with the tower; a file with one tower leaves it out. */
export function goldenName(point: string, path: string): string {
  if (isEncoderFile(path)) return `encoder.${point}`;
  return isDecoderFile(path) && !point.startsWith('decoder.') ? `decoder.${point}` : point;
}

/** Feeds of one golden case for one file of the fixture; a decoder gets its encoder's output first. */
export async function feedsOf(
  fixture: Fixture,
  path: string,
  file: OnnxFile,
  kase: GoldenCase,
): Promise<Feeds> {
  const inputs = { ...kase.inputs };
  const names = new Set(file.model.graph.inputs.map((input) => input.name));
  if (isDecoderFile(path) && inputs.decoder_input_ids) {
    const encoder = await openModel(join(fixture.folder, 'onnx/encoder_model.onnx'));
    const feeds = await feedsOf(fixture, 'onnx/encoder_model.onnx', encoder, kase);
    const { outputs } = await run(encoder, { model: encoder.model, sites: [] }, [], feeds);
    encoder.close();
    const rest = { input_ids: inputs.decoder_input_ids, encoder_attention_mask: inputs.attention_mask! };
    const own = completeFeeds(
      file.model.graph,
      { ...nestedInputs(rest, names), ...emptyStates(names, outputs.last_hidden_state!) },
      runtime,
    );
    return { ...own, encoder_hidden_states: outputs.last_hidden_state! };
  }
  return completeFeeds(file.model.graph, nestedInputs(inputs, names), runtime);
}

/** A placeholder of the right shape, replaced by the real tensor afterwards. */
function emptyStates(names: ReadonlySet<string>, states: OrtTensor): Record<string, Nested> {
  if (!names.has('encoder_hidden_states')) return {};
  return { encoder_hidden_states: nested(Array.from(states.data as Float32Array), states.dims) };
}

function nestedInputs(
  inputs: Readonly<Record<string, GoldenTensor>>,
  names: ReadonlySet<string>,
): Record<string, Nested> {
  return Object.fromEntries(
    Object.entries(inputs)
      .filter(([name]) => names.has(name))
      .map(([name, tensor]) => [name, nested(values(tensor), tensor.shape)]),
  );
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
  const hooked = await createSession(file, recognition, { taps }, { runtime, session });
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
  const mask = isDecoderFile(path) && inputs.decoder_input_ids ? undefined : inputs.attention_mask;
  const lead = mask ?? inputs.decoder_input_ids ?? Object.values(inputs)[0]!;
  const [B = 1, S = 1] = lead.shape;
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
