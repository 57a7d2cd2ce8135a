/**
 * What a graph carries from call to call beside the KV cache, such as column statistics of attention, and knobs that
 * belong to a sequence, such as where its documents lie. A state belongs to the cache of the same call: it is kept beside
 * the very tensors the call returned and found again when these come back as the past of another. So calls may be
 * repeated, branch off one cache, or alternate between sequences; and a state goes when its cache goes.
 */
import { AttuneError } from '../../errors.ts';
import type { Compiled } from '../compile/index.ts';
import type { Feeds, OrtTensor, Runtime } from './runtime.ts';

type State = Compiled['states'][number];

/** What is remembered, and under what. */
export interface Settings {
  /** The interventions that rely on it. A cache is only continued under the same. */
  readonly name: string;
  /** The cache itself is not what the untouched model would have made: nothing else may continue it. */
  readonly ownCache: boolean;
}

interface Carried {
  readonly settings: Settings;
  /** By the name of the graph input: states, and knobs that are kept. */
  readonly values: ReadonlyMap<string, OrtTensor>;
}

type Values = Readonly<Record<string, OrtTensor>>;
type Kept = Pick<Compiled, 'states' | 'knobs'>;

/** States of caches, held beside the tensors of the cache that they belong to. */
export class StateStore {
  readonly #byCache = new WeakMap<OrtTensor, Carried>();

  /**
   * State inputs of a call: those its cache was made with, or empty ones at the start of a sequence; with a cache also
   * the knobs that are kept beside it.
   *
   * @param settings of the call; undefined where nobody relies on the states, and all are empty
   * @throws AttuneError STATE_MISMATCH for a cache made without these states, or under other settings
   */
  before(
    feeds: Feeds,
    { states, knobs }: Kept,
    settings: Settings | undefined,
    runtime: Runtime,
  ): Record<string, OrtTensor> {
    const batch = leadOf(feeds)?.dims[0] ?? 1;
    const cache = cacheOf(feeds);
    const carried = cache && this.#byCache.get(cache);
    const needed = [...states.map(({ input }) => input), ...keptKnobs(knobs)];
    const known =
      carried?.settings.name === settings?.name && needed.every((name) => carried?.values.has(name));
    if (cache && (settings ? !known : carried?.settings.ownCache)) {
      throw new AttuneError('STATE_MISMATCH', {
        found: carried ? `a cache made under ${carried.settings.name}` : 'a cache of unknown origin',
        expected: settings
          ? `one that this model returned under ${settings.name}`
          : 'one that this model returned without it: its keys are not those of the untouched model',
        hint: 'Start the sequence again, without past_key_values: what is remembered covers it from its first token.',
      });
    }
    const own = settings && carried?.values;
    const from = (name: string) => own?.get(name);
    return Object.fromEntries([
      ...states.map((state) => [state.input, from(state.input) ?? empty(state, batch, runtime)] as const),
      ...keptKnobs(knobs).flatMap((name) => (from(name) ? [[name, from(name)!] as const] : [])),
    ]);
  }

  /** Outputs that a call has to be asked for: not those of states that its sequence has already. */
  wanted({ states }: Kept, settings: Settings | undefined, before: Values): string[] {
    if (settings === undefined) return [];
    return states
      .filter(({ input, kept }) => !(kept && hasElements(before[input]!)))
      .map(({ output }) => output);
  }

  /** Keep the states and knobs of a call beside the cache it returned. */
  after(outputs: Values, results: Values, { states, knobs }: Kept, settings: Settings, fed: Values): void {
    const values = new Map([
      ...states.map(({ input, output }) => [input, results[output] ?? fed[input]!] as const),
      ...keptKnobs(knobs).map((name) => [name, fed[name]!] as const),
    ]);
    for (const [name, tensor] of Object.entries(outputs)) {
      if (name.startsWith('present')) this.#byCache.set(tensor, { settings, values });
    }
  }
}

function keptKnobs(knobs: Compiled['knobs']): string[] {
  return knobs.flatMap(({ name, kept }) => (kept ? [name] : []));
}

function hasElements({ dims }: OrtTensor): boolean {
  return !dims.includes(0);
}

/** A tensor of the cache that a call continues; undefined at the start of a sequence. */
export function cacheOf(feeds: Feeds): OrtTensor | undefined {
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
