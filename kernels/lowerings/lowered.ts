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

export interface HeadValue {
  readonly value: string;
  readonly layout: HeadLayout;
}

/** A parameter as graph input. */
export interface Knob {
  readonly name: string;
  readonly elemType: number;
  /** Symbols may be 1: 'B' a value per batch row or one for all, 'T' one per key or one for all. */
  readonly shape: readonly (number | string)[];
  /** Feed this and the site computes what it did before. */
  readonly neutral: Tensor;
  readonly doc: string;
}

/** What one call leaves to the next, as the KV cache does: start with a tensor whose 'P' axis is 0. */
export interface State {
  readonly input: string;
  readonly output: string;
  readonly elemType: number;
  /** Of the input; the output has T = P + S for P. */
  readonly shape: readonly (number | string)[];
  /** The output has elements in one call of a sequence only, whose value all later calls are given. */
  readonly kept?: boolean | undefined;
}

/** A value that may be made a graph output. */
export interface Tap {
  readonly name: string;
  readonly value: string;
  readonly elemType: number;
  readonly shape: readonly (number | string)[];
}

export interface Lowered {
  readonly nodes: readonly Node[];
  readonly functions: readonly FunctionDef[];
  readonly initializers: readonly Tensor[];
  readonly knobs: readonly Knob[];
  readonly states: readonly State[];
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
