/** What was read at a hook point. */
import { POINT_AXES } from '../../sites/points/index.ts';
import type { OrtTensor } from '../session/index.ts';
import type { ModelFacts } from './facts.ts';

/** A named activation: float32, axes as in POINT_AXES. */
export interface Activation {
  readonly name: string;
  /** Axis letters, for example 'BHST'. */
  readonly axes: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export function activation(name: string, tensor: OrtTensor, facts: ModelFacts): Activation {
  const point = facts.points.find((candidate) => candidate.name === name)!;
  return { name, axes: POINT_AXES[point.kind], dims: tensor.dims, data: tensor.data as Float32Array };
}
