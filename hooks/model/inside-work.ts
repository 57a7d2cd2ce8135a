/**
 * What a model stands for inside the function that `using` or `runWithHooks` is given. The function is handed a view of the model,
 * which is always right. A call on the model itself is taken for a call on that view where it is known to come from inside: while
 * the function runs synchronously, and after that where the platform follows asynchronous calls (AsyncLocalStorage, in Node and
 * its like). Elsewhere it cannot be known, and such a call is refused rather than guessed at.
 */
import { AttuneError } from '../../errors.ts';

interface AsyncStore<T> {
  run<R>(store: T, work: () => R): R;
  getStore(): T | undefined;
}

type AsyncStoreClass = new <T>() => AsyncStore<T>;

/** Undefined in browsers. */
function platformStore(): AsyncStoreClass | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?(name: string): { AsyncLocalStorage?: AsyncStoreClass } | undefined };
  };
  return process?.getBuiltinModule?.('node:async_hooks')?.AsyncLocalStorage;
}

export class InsideWork<V> {
  readonly #Store: AsyncStoreClass | undefined;
  #store: AsyncStore<V> | undefined;
  /** While a function runs synchronously. */
  #now: V | undefined;
  #open = 0;

  /** @param follows whether asynchronous calls are followed; default, where the platform can */
  constructor(follows = true) {
    this.#Store = follows ? platformStore() : undefined;
  }

  /**
   * The view that stands for the model here; undefined outside of any.
   * @throws AttuneError WORK_UNCLEAR where the platform does not tell
   */
  current(): V | undefined {
    if (this.#Store) return this.#store?.getStore();
    if (this.#now !== undefined || this.#open === 0) return this.#now;
    throw new AttuneError('WORK_UNCLEAR', {
      found: 'a call on the model while using() or runWithHooks() is under way',
      expected: 'a call on the view that the function is given: using([…], (model) => model.generate(…))',
      hint: 'This platform does not tell whether the call comes from inside the function.',
    });
  }

  async run<T>(view: V, work: () => Promise<T>): Promise<T> {
    if (this.#Store) {
      this.#store ??= new this.#Store<V>();
      return this.#store.run(view, work);
    }
    const before = this.#now;
    this.#open++;
    try {
      this.#now = view;
      const running = work();
      this.#now = before;
      return await running;
    } finally {
      this.#now = before;
      this.#open--;
    }
  }
}
