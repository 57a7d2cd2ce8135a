/** What was read at hook points. */
import { AttuneError } from '../../errors.ts';
import { POINT_AXES, selectNames } from '../../sites/points/index.ts';
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

/** Activations of a run by the name of their hook point, in the order of the model. */
export class ActivationCache extends Map<string, Activation> {
  /**
   * Activations of one shape, such as those of all layers, as one: [L, …].
   *
   * @example const patterns = cache.stack('blocks.*.attn.hook_pattern'); // axes 'LBHST'
   * @param filter glob or globs over the names in the cache
   * @throws AttuneError HOOK_UNKNOWN with the nearest names; CACHE_STACK where shapes differ
   */
  stack(filter: string | readonly string[]): Activation {
    const all = selectNames(filter, [...this.keys()]).map((name) => this.get(name)!);
    const [first] = all as [Activation, ...Activation[]];
    const other = all.find(({ axes, dims }) => axes !== first.axes || String(dims) !== String(first.dims));
    if (other) {
      throw new AttuneError('CACHE_STACK', {
        at: other.name,
        found: `${other.axes} [${other.dims.join(', ')}]`,
        expected: `${first.axes} [${first.dims.join(', ')}], as ${first.name} has it`,
        hint: 'Stack points of one kind, of layers with one number of heads.',
      });
    }
    const data = new Float32Array(all.length * first.data.length);
    all.forEach((one, layer) => {
      data.set(one.data, layer * first.data.length);
    });
    const name = typeof filter === 'string' ? filter : filter.join();
    return { name, axes: `L${first.axes}`, dims: [all.length, ...first.dims], data };
  }
}
