/** What a shape rule is given, and what it yields. */
import type { Node } from '../onnx/index.ts';
import type { Operands } from './arithmetic.ts';
import { type Dim, isNumber, type Shape } from './dims.ts';

export interface ShapeOperands extends Operands {
  /** A symbol of its own for an axis nothing is known about. */
  unknown(output: number, axis: number): Dim;
}

/** Shapes of the outputs as far as the rule knows them. */
export type ShapeRule = (operands: ShapeOperands, node: Node) => readonly (Shape | undefined)[] | undefined;

/** Ranks beyond this are damage. */
export function isRank(rank: Dim | undefined): rank is number {
  return isNumber(rank) && rank >= 0 && rank <= 8;
}

/** An axis as a non-negative number within the rank. */
export function normalAxis(axis: number, rank: number): number {
  return Math.trunc(Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), Math.max(rank - 1, 0)));
}

/** Axes as non-negative numbers, sorted. */
export function sortedAxes(axes: readonly number[], rank: number): number[] {
  return axes.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);
}
