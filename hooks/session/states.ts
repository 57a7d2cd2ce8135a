/**
 * What a graph carries from call to call beside the KV cache, such as column statistics of attention. A state belongs
 * to the cache of the same call: it is kept beside the very tensors the call returned and found again when these come
 * back as the past of another. So calls may be repeated, branch off one cache, or alternate between sequences; and a
 * state goes when its cache goes.
 */
import { AttuneError } from '../../errors.ts';
import type { Compiled } from '../compile/index.ts';
import type { Feeds, OrtTensor, Runtime } from './runtime.ts';

type State = Compiled['states'][number];

interface Carried {
  /** The settings under which the state came to be. */
  readonly settings: string;
  readonly values: ReadonlyMap<string, OrtTensor>;
}

export class StateStore {
  readonly #byCache = new WeakMap<OrtTensor, Carried>();

  /**
   * State inputs of a call: those its cache was made with, or empty ones at the start of a sequence.
   *
   * @param settings of the call; undefined where nobody relies on the states, and all are empty
   * @throws AttuneError STATE_MISMATCH for a cache made without these states, or under other settings
   */
  before(
    feeds: Feeds,
    states: readonly State[],
    settings: string | undefined,
    runtime: Runtime,
  ): Record<string, OrtTensor> {
    const batch = leadOf(feeds)?.dims[0] ?? 1;
    const cache = settings === undefined ? undefined : cacheOf(feeds);
    const carried = cache && this.#byCache.get(cache);
    if (
      cache &&
      (carried?.settings !== settings || !states.every(({ input }) => carried?.values.has(input)))
    ) {
      throw new AttuneError('STATE_MISMATCH', {
        found: carried ? `a cache made under ${carried.settings}` : 'a cache of unknown origin',
        expected: `one that this model returned under ${settings}`,
        hint: 'Start the sequence again, without past_key_values: what is remembered covers it from its first token.',
      });
    }
    return Object.fromEntries(
      states.map((state) => [state.input, carried?.values.get(state.input) ?? empty(state, batch, runtime)]),
    );
  }

  /** Keep the states of a call beside the cache it returned. */
  after(
    outputs: Readonly<Record<string, OrtTensor>>,
    results: Readonly<Record<string, OrtTensor>>,
    states: readonly State[],
    settings: string,
  ): void {
    const values = new Map(states.map(({ input, output }) => [input, results[output]!]));
    for (const [name, tensor] of Object.entries(outputs)) {
      if (name.startsWith('present')) this.#byCache.set(tensor, { settings, values });
    }
  }
}

/** A tensor of the cache that a call continues; undefined at the start of a sequence. */
function cacheOf(feeds: Feeds): OrtTensor | undefined {
  for (const [name, tensor] of Object.entries(feeds)) {
    const isCache = name.startsWith('past') && !name.includes('encoder') && tensor.dims.length >= 4;
    if (isCache && !tensor.dims.includes(0)) return tensor;
  }
  return undefined;
}

function leadOf(feeds: Feeds): OrtTensor | undefined {
  return feeds.input_ids ?? feeds.inputs_embeds ?? feeds.decoder_input_ids;
}

/** [B, N, 0] */
function empty({ shape }: State, batch: number, runtime: Runtime): OrtTensor {
  const dims = shape.map((dim) => (dim === 'B' ? batch : typeof dim === 'number' ? dim : 0));
  return new runtime.Tensor('float32', new Float32Array(0), dims);
}
