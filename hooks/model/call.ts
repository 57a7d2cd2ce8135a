/**
 * One call of a model, a forward or a whole generation: the model as transformers.js made it, on sessions that run in the call's
 * scope, with what acts after the logits in between. Nothing of a call is left on the model.
 */
import type { ChosenRuntime, OrtTensor } from '../session/index.ts';
import { type Activation, activation } from './activation.ts';
import { noteOf, tellTokens } from './cache-note.ts';
import { type CheckedModel, checkInputs, checkPrompt } from './check-inputs.ts';
import type { ContrastStreams, Forward } from './decoding/contrast.ts';
import type { ModelInputs, SearchHandle, SearchModel } from './decoding/decoding.ts';
import type { ModelFacts } from './facts.ts';
import { checkFinite } from './finite-logits.ts';
import { tapsOverlay } from './function-hooks.ts';
import type { Overlay } from './live-graph.ts';
import type { CallScope } from './scope.ts';
import { type SharedSessions, sessionsOf } from './scoped-sessions.ts';

/** The methods of a transformers.js model that are stood before, as its class has them. */
export interface NativeMethods {
  readonly forward: Forward;
  readonly generate?: ((options: ModelInputs) => Promise<unknown>) | undefined;
}

/** What the calls of one model share. */
export interface ModelParts {
  readonly model: object;
  readonly native: NativeMethods;
  readonly sessions: SharedSessions;
  readonly facts: ModelFacts;
  readonly runtime: ChosenRuntime;
  readonly streams: ContrastStreams;
  readonly checked: CheckedModel;
}

/**
 * A model that is the given one but for its own properties: callable, an instance of the same class, with the same configuration.
 */
export function viewOf<M extends object>(model: M, own: object): M {
  const view = (...inputs: unknown[]) =>
    (view as unknown as { _call(...inputs: unknown[]): unknown })._call(...inputs);
  Object.setPrototypeOf(view, model);
  for (const [name, value] of Object.entries(Object.getOwnPropertyDescriptors(own))) {
    Object.defineProperty(view, name, value);
  }
  return view as unknown as M;
}

export class ModelCall {
  readonly #parts: ModelParts;
  readonly #scope: CallScope;
  /** The model in this call. */
  readonly model: SearchModel;
  /** The second stream of a contrast. */
  #aside: ModelCall | undefined;

  constructor(parts: ModelParts, scope: CallScope) {
    this.#parts = parts;
    this.#scope = scope;
    const call = this;
    this.model = viewOf(parts.model, {
      sessions: sessionsOf(parts.sessions, scope),
      forward: (inputs: ModelInputs) => this.forward(inputs),
      generate: parts.native.generate,
      get attune() {
        return call.#handle();
      },
    }) as SearchModel;
  }

  async forward(inputs: ModelInputs): Promise<Record<string, unknown>> {
    const { native, streams, checked } = this.#parts;
    const { stack, generating, tracker } = this.#scope;
    const known = noteOf(inputs.past_key_values, (tensor) => tracker.noteOf(tensor));
    checkInputs(inputs, checked, known?.tokens);
    const begin = performance.now();
    const active = stack.decoding;
    const first: Forward = (given) => native.forward.call(this.model, given);
    const outputs =
      active?.decoding.kind === 'contrast'
        ? await streams.run({
            intervention: active.intervention,
            contrast: active.decoding,
            inputs,
            lastOnly: generating,
            first,
            second: (given) => this.#second().#plain(given),
          })
        : await first(inputs);
    const [B = 1, S = 1] = lengths(inputs);
    tracker.count(B * S, performance.now() - begin);
    if (generating) checkFinite(outputs.logits, tracker.state.step);
    return outputs;
  }

  #plain(inputs: ModelInputs): Promise<Record<string, unknown>> {
    return this.#parts.native.forward.call(this.model, inputs);
  }

  #second(): ModelCall {
    this.#aside ??= new ModelCall(this.#parts, this.#scope.aside(this.#scope.stack.second()));
    return this.#aside;
  }

  async generate(options: ModelInputs): Promise<unknown> {
    const active = this.#scope.stack.decoding;
    // A search has rules of its own for what it is given.
    if (active?.decoding.kind === 'search') return active.decoding.generate(this.model, options);
    checkPrompt(options, this.#parts.checked);
    const known = (tensor: OrtTensor) => this.#scope.tracker.noteOf(tensor);
    tellTokens(options.past_key_values, known);
    const written = await this.#parts.native.generate!.call(this.model, options);
    tellTokens((written as { past_key_values?: unknown } | undefined)?.past_key_values, known);
    return written;
  }

  /** What a search may ask of the model. */
  #handle(): SearchHandle {
    const { facts } = this.#parts;
    const scope = this.#scope;
    return {
      facts,
      get request() {
        return scope.tracker.state;
      },
      watch: async (filter, work) => {
        const overlay = tapsOverlay(facts, filter);
        const watched = new ModelCall(this.#parts, scope.watched(overlay));
        try {
          return await work(listenTo(overlay, facts), watched.model);
        } finally {
          watched.end();
        }
      },
    };
  }

  /** The sessions it kept may go. */
  end(): void {
    this.#aside?.end();
    this.#scope.end();
  }
}

/** [B, S, …] of what a call computes anew. */
function lengths({ decoder_input_ids, input_ids, inputs_embeds }: ModelInputs): readonly number[] {
  const given = decoder_input_ids ?? input_ids ?? inputs_embeds;
  return (given as { dims: readonly number[] } | undefined)?.dims ?? [];
}

/** Ends when the function that is returned is called. */
export type Listen = (listener: (values: ReadonlyMap<string, Activation>) => void) => () => void;

export function listenTo(overlay: Overlay, facts: ModelFacts): Listen {
  return (listener) => {
    const own = (values: Parameters<typeof activations>[0]) => listener(activations(values, facts));
    overlay.listeners.add(own);
    return () => overlay.listeners.delete(own);
  };
}

/** What was read of a run, by name. */
export function activations(
  values: ReadonlyMap<string, Parameters<typeof activation>[1]>,
  facts: ModelFacts,
): ReadonlyMap<string, Activation> {
  return new Map([...values].map(([name, tensor]) => [name, activation(name, tensor, facts)]));
}
