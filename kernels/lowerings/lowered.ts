/**
 * What a lowering hands to the graph compiler, as data. Applying it:
 *
 * 1. put `nodes`, in order, where the site's own nodes were; they read the values the site was described by and make
 *    the values it made, under their old names (z, present keys and values);
 * 2. add `functions` to the model, each name once, and `initializers` to the graph;
 * 3. declare `knobs` and states' inputs as graph inputs, states' outputs and wanted `taps` as graph outputs;
 * 4. import `opsets`; model-local functions need IR version 8.
 */

import { type Emit, opsetsFor } from '../../onnx/emitter.ts';
import {
  DataType,
  type FunctionDef,
  floatTensor,
  int64Tensor,
  type Node,
  type Tensor,
} from '../../onnx/index.ts';

/** [B, S, N·D] as fused operators take it, or [B, N, S, D]. */
export type HeadLayout = 'BS(ND)' | 'BNSD';

/** A value of heads, and the order of its axes. */
export interface HeadValue {
  /** Its name in the graph. */
  readonly value: string;
  /** Its axes. */
  readonly layout: HeadLayout;
}

/** A parameter as graph input. */
export interface Knob {
  /** Name of the graph input. */
  readonly name: string;
  /** DataType. */
  readonly elemType: number;
  /** Symbols may be 1: 'B' a value per batch row or one for all, 'T' one per key or one for all. */
  readonly shape: readonly (number | string)[];
  /** Feed this and the site computes what it did before. */
  readonly neutral: Tensor;
  /** What it means, in a sentence. */
  readonly doc: string;
}

/** What one call leaves to the next, as the KV cache does: start with a tensor whose 'P' axis is 0. */
export interface State {
  /** Name of the graph input. */
  readonly input: string;
  /** Name of the graph output. */
  readonly output: string;
  /** DataType. */
  readonly elemType: number;
  /** Of the input; the output has T = P + S for P. */
  readonly shape: readonly (number | string)[];
  /** The output has elements in one call of a sequence only, whose value all later calls are given. */
  readonly kept?: boolean | undefined;
}

/** A value that may be made a graph output. */
export interface Tap {
  /** Local name. */
  readonly name: string;
  /** Name of the value. */
  readonly value: string;
  /** DataType. */
  readonly elemType: number;
  /** Its lengths; texts name free ones. */
  readonly shape: readonly (number | string)[];
}

/** Nodes in place of a site's own, and what they bring with them. */
export interface Lowered {
  /** In order of execution. */
  readonly nodes: readonly Node[];
  /** Functions they call. */
  readonly functions: readonly FunctionDef[];
  /** Constants they use. */
  readonly initializers: readonly Tensor[];
  /** Inputs they read. */
  readonly knobs: readonly Knob[];
  /** What goes from call to call. */
  readonly states: readonly State[];
  /** Values that may be made outputs. */
  readonly taps: readonly Tap[];
  /** Operator sets the model must import, at least in this version. */
  readonly opsets: Readonly<Record<string, number>>;
}

/** Assembles a Lowered from an emitter; what is not given is empty. */
export function lowered(
  emit: Emit,
  parts: Partial<Omit<Lowered, 'nodes' | 'functions' | 'opsets'>> = {},
): Lowered {
  return {
    nodes: emit.nodes,
    functions: [...emit.functions.values()],
    initializers: [],
    knobs: [],
    states: [],
    taps: [],
    opsets: opsetsFor(emit.opset),
    ...parts,
  };
}

export function floatKnob(
  name: string,
  shape: Knob['shape'],
  neutral: number[],
  dims: number[],
  doc: string,
): Knob {
  return { name, elemType: DataType.FLOAT, shape, neutral: floatTensor(name, neutral, dims), doc };
}

export function int64Knob(
  name: string,
  shape: Knob['shape'],
  neutral: number[],
  dims: number[],
  doc: string,
): Knob {
  return { name, elemType: DataType.INT64, shape, neutral: int64Tensor(name, neutral, dims), doc };
}
