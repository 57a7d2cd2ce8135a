/**
 * The values recognition names, run by ONNX Runtime and compared with what PyTorch computed at the same points of the
 * same model. A site that names the wrong value, or the wrong layout, differs.
 */
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { assemble, changeGraph, changeModel, encodeModel, makeValueInfo, openModel } from '../onnx/index.ts';
import { fixtureNames, floats, type GoldenTensor, integers, loadFixture } from '../testbed/fixtures/load.ts';
import { axesOf } from './axes.ts';
import { type Place, type Recognition, recognise, type Site } from './index.ts';

/** float32 graphs against float32 PyTorch, as the fixtures' own check. */
const TOLERANCE = 1e-4;

interface Point {
  readonly hook: string;
  readonly value: string;
  /** How to bring it to [B,S,H,D] or [B,H,S,T]; undefined for [B,S,X]. */
  readonly place?: Place;
  readonly heads: number;
}

function points({ sites, residual }: Recognition, prefix: string): Point[] {
  const list: Point[] = [];
  for (const site of sites) {
    const cross = site.attention === 'cross' ? 'cross_attn' : 'attn';
    const add = (hook: string, place: Place | undefined, heads = site.numHeads) => {
      if (place)
        list.push({
          hook: `${prefix}blocks.${site.layer}.${cross}.hook_${hook}`,
          value: place.value,
          place,
          heads,
        });
    };
    const apart = (stage: Site['q']) => (site.biasInside ? undefined : (stage.heads ?? stage.proj));
    add('q', apart(site.q));
    add('k', apart(site.k), site.kvHeads);
    add('v', apart(site.v), site.kvHeads);
    add('q_normed', site.q.normed);
    add('k_normed', site.k.normed, site.kvHeads);
    add('rot_q', site.q.rotated);
    add('rot_k', site.k.rotated, site.kvHeads);
    add('pattern', site.pattern);
    add('z', site.z);
  }
  for (const layer of residual) {
    const names = { pre: 'resid_pre', mid: 'resid_mid', midCross: 'resid_mid_cross', post: 'resid_post' };
    const outs = { attnOut: 'attn_out', crossAttnOut: 'cross_attn_out', mlpOut: 'mlp_out' };
    for (const [key, hook] of Object.entries({ ...names, ...outs })) {
      const value = layer[key as keyof typeof names];
      if (layer.biases?.[key as keyof typeof outs] !== undefined) continue; // The value lacks its bias.
      if (value !== undefined)
        list.push({ hook: `${prefix}blocks.${layer.layer}.hook_${hook}`, value, heads: 0 });
    }
  }
  return list;
}

/** Row-major elements with axes in the order B, S, H, D (or B, H, S, T), given a place's layout. */
function normalised(
  data: Float32Array,
  dims: readonly number[],
  place: Place,
  heads: number,
  batch: number,
): Float32Array {
  const sizes: number[] = [];
  const letters: string[] = [];
  axesOf(place.layout).forEach((group, i) => {
    let rest = dims[i]!;
    [...group].forEach((letter, j) => {
      const last = j === group.length - 1;
      const known = letter === 'B' ? batch : letter === 'H' ? heads : rest;
      const size = last ? rest : known;
      sizes.push(size);
      letters.push(letter);
      rest /= size;
    });
  });
  const wanted = letters.includes('T') ? ['B', 'H', 'S', 'T'] : ['B', 'S', 'H', 'D'];
  const strides = sizes.map((_, i) => sizes.slice(i + 1).reduce((a, b) => a * b, 1));
  const order = wanted.map((letter) => letters.indexOf(letter));
  const result = new Float32Array(data.length);
  const shape = order.map((axis) => sizes[axis]!);
  for (let at = 0; at < result.length; at++) {
    let rest = at;
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += (rest % shape[axis]!) * strides[order[axis]!]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    result[at] = data[from]!;
  }
  return result;
}

function feed(golden: GoldenTensor): ort.Tensor {
  return golden.dtype === 'int64'
    ? new ort.Tensor('int64', BigInt64Array.from(integers(golden), BigInt), golden.shape)
    : new ort.Tensor('float32', floats(golden), golden.shape);
}

/** Inputs of the first case, an empty cache for the others; undefined when an input has no value in the case. */
function feeds(session: ort.InferenceSession, inputs: Readonly<Record<string, GoldenTensor>>, batch: number) {
  const all: Record<string, ort.Tensor> = {};
  for (const meta of session.inputMetadata) {
    const given = inputs[meta.name];
    if (given) all[meta.name] = feed(given);
    else if (meta.name.startsWith('past') && meta.isTensor && meta.type === 'float32') {
      const dims = meta.shape.map((dim, i) => (typeof dim === 'number' ? dim : i === 0 ? batch : 0));
      all[meta.name] = new ort.Tensor('float32', new Float32Array(0), dims);
    } else return undefined;
  }
  return all;
}

/** Which part of the golden tensors a file of a multi-part model belongs to. */
function prefixOf(file: string, hooks: readonly string[]): string {
  const prefix = file.includes('vision')
    ? 'vision.'
    : file.includes('encoder')
      ? 'encoder.'
      : file.includes('decoder')
        ? 'decoder.'
        : '';
  return hooks.some((hook) => hook.startsWith(`${prefix}blocks.`)) ? prefix : '';
}

const graphs = fixtureNames().flatMap((name) => {
  const { folder, files, cases } = loadFixture(name);
  return files
    .filter(({ file, dtype }) => dtype === 'fp32' && !file.includes('embed_tokens'))
    .map(({ file }) => ({ label: `${name}/${file}`, file, path: join(folder, file), first: cases[0]! }));
});

describe.each(graphs)('$label', ({ file, path, first }) => {
  test('named values equal PyTorch', async () => {
    const opened = await openModel(path);
    const found = recognise(opened.model, { source: opened.source });
    if (found.sites.some(({ scope }) => scope.length > 0)) {
      opened.close();
      return expect(file).toContain('merged'); // Branch values cannot be graph outputs as they are.
    }
    const prefix = prefixOf(file, Object.keys(first.outputs));
    const wanted = points(found, prefix).filter(({ hook }) => first.outputs[hook]);
    const { graph } = found.model;
    const extra = new Set(wanted.map(({ value }) => value));
    for (const { name } of [...graph.outputs, ...graph.inputs]) extra.delete(name);
    const outputs = [...graph.outputs, ...[...extra].map((value) => makeValueInfo(value, 1))];
    const bytes = await assemble(
      encodeModel(changeModel(found.model, { graph: changeGraph(graph, { outputs }) })),
      opened.source,
    );
    opened.close();
    const session = await ort.InferenceSession.create(bytes, {
      graphOptimizationLevel: 'disabled',
      extra: { session: { model_external_initializers_file_folder_path: join(path, '..') } },
    });
    const batch = Object.values(first.inputs)[0]!.shape[0]!;
    const inputs = feeds(session, first.inputs, batch);
    if (!inputs) return expect(file).not.toBe('onnx/model.onnx'); // Parts fed by other parts have no inputs of their own.
    const results = await session.run(inputs);
    expect(wanted.length).toBeGreaterThanOrEqual(4);
    for (const { hook, value, place, heads } of wanted) {
      const tensor = results[value]!;
      const data = tensor.data as Float32Array;
      const is = place ? normalised(data, tensor.dims, place, heads, batch) : data;
      const should = floats(first.outputs[hook]!);
      expect([hook, is.length]).toEqual([hook, should.length]);
      const worst = is.reduce((most, x, i) => Math.max(most, Math.abs(x - should[i]!)), 0);
      expect([hook, value, worst < TOLERANCE ? 'equal' : `off by ${worst}`]).toEqual([hook, value, 'equal']);
    }
    await session.release();
  });
});
