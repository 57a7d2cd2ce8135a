/** What was read at hook points. */
import type { Tensor } from '@huggingface/transformers';
import { AttuneError } from '../../errors.ts';
import { POINT_AXES, selectNames } from '../../sites/points/index.ts';
import type { OrtTensor } from '../session/index.ts';
import type { ModelFacts } from './facts.ts';

/** A named activation: float32, axes as in POINT_AXES. */
export interface Activation {
  /** Hook name, such as blocks.3.attn.hook_pattern. */
  readonly name: string;
  /** Axis letters, for example 'BHST'. */
  readonly axes: string;
  /** Lengths of the axes, in their order. */
  readonly dims: readonly number[];
  /** Row-major, the last axis fastest. */
  readonly data: Float32Array;
}

export function activation(name: string, tensor: OrtTensor, facts: ModelFacts): Activation {
  const point = facts.points.find((candidate) => candidate.name === name)!;
  return { name, axes: POINT_AXES[point.kind], dims: tensor.dims, data: tensor.data as Float32Array };
}

/** An activation as a tensor of your transformers.js, with the names of its axes: `slice`, `mean`, `tolist` and the rest are there. */
export interface ActivationTensor extends Tensor {
  /** Hook name, such as blocks.3.attn.hook_pattern. */
  readonly name: string;
  /** Axis letters, for example 'BHST'. */
  readonly axes: string;
  /** Row-major, the last axis fastest. */
  readonly data: Float32Array;
}

type TensorClass = new (type: 'float32', data: Float32Array, dims: number[]) => Tensor;

/**
 * An activation as a tensor of the transformers.js that returned `output`: its own class, so that the two go together.
 *
 * @param output of a call or a generation; where it has no tensor, the activation stays as it is
 */
export function asTensor({ name, axes, dims, data }: Activation, output: unknown): ActivationTensor {
  const Class = tensorClassOf(output);
  if (Class === undefined) return { name, axes, dims, data } as unknown as ActivationTensor;
  return Object.assign(new Class('float32', data, [...dims]), { name, axes }) as unknown as ActivationTensor;
}

function tensorClassOf(output: unknown): TensorClass | undefined {
  const all = [output, ...Object.values((output ?? {}) as object)];
  const tensor = all.find((one) => one !== null && typeof one === 'object' && 'ort_tensor' in one);
  return tensor === undefined ? undefined : ((tensor as object).constructor as TensorClass);
}

/** Activations of a run by the name of their hook point, in the order of the model. */
export class ActivationCache extends Map<string, ActivationTensor> {
  /**
   * Activations by their names, as tensors.
   *
   * @param output what the run returned, whose class of tensors these are
   */
  static of(activations: Iterable<Activation>, output: unknown): ActivationCache {
    return new ActivationCache([...activations].map((one) => [one.name, asTensor(one, output)]));
  }

  /**
   * Activations of one shape, such as those of all layers, as one: [L, …].
   *
   * @example const patterns = cache.stack('blocks.*.attn.hook_pattern'); // axes 'LBHST'
   * @param filter glob or globs over the names in the cache
   * @throws AttuneError HOOK_UNKNOWN with the nearest names; CACHE_STACK where shapes differ
   */
  stack(filter: string | readonly string[]): ActivationTensor {
    const all = selectNames(filter, [...this.keys()]).map((name) => this.get(name)!);
    const [first] = all as [ActivationTensor, ...ActivationTensor[]];
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
    return asTensor({ name, axes: `L${first.axes}`, dims: [all.length, ...first.dims], data }, first);
  }
}
