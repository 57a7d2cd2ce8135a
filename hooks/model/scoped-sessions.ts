/** The sessions of a model as one scope sees them: what runs on them is that scope's. They are shared; releasing one releases it for all. */
import type { Feeds, OrtSession, OrtTensor } from '../session/index.ts';
import type { ListeningEncoder } from './listening-encoder.ts';
import type { LiveSession } from './live-session.ts';
import type { Scope } from './scope.ts';

export type Sessions = Record<string, OrtSession>;

/** What stands behind the sessions of a model. */
export interface SharedSessions {
  /** Name of the one that is hooked. */
  readonly decoder: string;
  readonly live: LiveSession;
  readonly encoder: ListeningEncoder | undefined;
  /** The others, as they are. */
  readonly plain: Readonly<Sessions>;
}

/** Session names of vision-language models in three files. */
const VISION_ENCODER = 'vision_encoder';
const EMBED_TOKENS = 'embed_tokens';

export function sessionsOf({ decoder, live, encoder, plain }: SharedSessions, scope: Scope): Sessions {
  const sessions: Sessions = { ...plain, [decoder]: new ScopedDecoder(live, scope) };
  if (encoder) sessions[VISION_ENCODER] = new ScopedEncoder(encoder, scope);
  const embedding = sessions[EMBED_TOKENS];
  if (embedding)
    sessions[EMBED_TOKENS] = observed(embedding, (feeds) => scope.tracker.observeEmbedding(feeds));
  return sessions;
}

class ScopedDecoder implements OrtSession {
  readonly #live: LiveSession;
  readonly #scope: Scope;

  constructor(live: LiveSession, scope: Scope) {
    this.#live = live;
    this.#scope = scope;
  }

  get inputNames() {
    return this.#live.inputNames;
  }

  get outputNames() {
    return this.#live.outputNames;
  }

  get inputMetadata() {
    return this.#live.inputMetadata;
  }

  get outputMetadata() {
    return this.#live.outputMetadata;
  }

  get config() {
    return this.#live.config;
  }

  run(feeds: Feeds, ...rest: (object | undefined)[]): Promise<Record<string, OrtTensor>> {
    return this.#live.run(this.#scope, feeds, ...rest);
  }

  /** transformers.js 3 disposes of a model by its sessions' handlers. */
  get handler() {
    return { dispose: () => this.release() };
  }

  release(): Promise<void> {
    return this.#live.release();
  }
}

class ScopedEncoder implements OrtSession {
  readonly #encoder: ListeningEncoder;
  readonly #scope: Scope;

  constructor(encoder: ListeningEncoder, scope: Scope) {
    this.#encoder = encoder;
    this.#scope = scope;
  }

  get inputNames() {
    return this.#encoder.inputNames;
  }

  get outputNames() {
    return this.#encoder.outputNames;
  }

  get inputMetadata() {
    return this.#encoder.inputMetadata;
  }

  get outputMetadata() {
    return this.#encoder.outputMetadata;
  }

  get config() {
    return this.#encoder.config;
  }

  async run(feeds: Feeds, ...rest: object[]): Promise<Record<string, OrtTensor>> {
    const { stack, tracker } = this.#scope;
    tracker.expectImage();
    const wanted = stack.interventions.some(({ kind }) => kind.needs.includes('image-attention'));
    return this.#encoder.run(
      feeds,
      wanted ? (attention) => tracker.observeImages(attention) : undefined,
      ...rest,
    );
  }

  /** transformers.js 3 disposes of a model by its sessions' handlers. */
  get handler() {
    return { dispose: () => this.release() };
  }

  release(): Promise<void> {
    return this.#encoder.release();
  }
}

/** Look at what a session is fed before it runs. */
function observed(session: OrtSession, look: (feeds: Feeds) => void): OrtSession {
  return new Proxy(session, {
    get(target, property) {
      if (property === 'run') {
        return (feeds: Feeds, ...rest: object[]) => {
          look(feeds);
          return target.run(feeds, ...rest);
        };
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
