/** Attention of a segmented site as a model-local function; sites that differ only in numbers share it. */
import { type Emit, primitive } from '../../../onnx/emitter.ts';
import type { SegmentedSite } from './site.ts';
import type { Extras, Sizes } from './steps.ts';

/** The function's own name of an input, and the value of the graph given for it. */
export type Argument = readonly [name: string, value: string];

export interface Body {
  readonly name: string;
  readonly outputs: readonly string[];
  /** What it computes, with shapes. */
  readonly doc: string;
  write(emit: Emit, sizes: Sizes, extras: Extras): void;
}

/** @returns values of the outputs */
export function callFunction(
  emit: Emit,
  site: SegmentedSite,
  given: readonly Argument[],
  body: Body,
): string[] {
  const { H, K, D, documents, mode, rotary } = site;
  const optional: Argument[] = [];
  if (site.softcap) optional.push(['softcap', emit.float(site.softcap)]);
  if (site.headSink) optional.push(['head_sink', site.headSink]);
  if (site.bias) optional.push(['bias', site.bias]);
  const all = [...given, ...optional];
  const form = [
    `${rotary.dim}of${D}${rotary.interleaved ? 'Interleaved' : ''}`,
    `${H}over${K}`,
    ...optional.map(([name]) => name),
  ];
  const signature = {
    name: [body.name, mode, documents, ...form].join('_'),
    inputs: all.map(([name]) => name),
    outputs: body.outputs,
    doc: body.doc,
  };
  const extras = new Set(optional.map(([name]) => name)) as Extras;
  const { interleaved, dim } = rotary;
  const sizes: Sizes = { H, K, D, documents, rotary: { interleaved, dim } };
  return emit.call(
    primitive(signature, (e) => body.write(e, sizes, extras)),
    ...all.map(([, value]) => value),
  );
}
