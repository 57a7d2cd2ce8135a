/**
 * What to run for the requests of one item. Continuations of one context share its pass: either each whole text is run
 * (those that only differ in their last token are one run), or the context once and then token after token, where
 * branches that begin alike stay together. CPU GroupQueryAttention takes a cache and several new tokens for one row only,
 * so with many rows the way on from a cache is a single token at a time.
 */

/** Token ids of a prompt, and of what may follow it. */
export interface Request {
  /** At least one token. */
  readonly context: readonly number[];
  /** At least one token. */
  readonly continuation: readonly number[];
}

/** Logits at `position` of the call predict `token` of request `request`. */
export interface Prediction {
  readonly position: number;
  readonly token: number;
  readonly request: number;
}

export interface Step {
  readonly ids: readonly number[];
  readonly predictions: readonly Prediction[];
  /** Position that follows a context: where the entropy of the next token is taken; undefined elsewhere. */
  readonly prompt?: number | undefined;
  /** Calls that go on from this one's cache. */
  readonly next: readonly Step[];
}

/** What a call of one new token costs, in tokens of a long call: its own overhead, and the cache copied once. */
const SINGLE_TOKEN_COST = 8;

export interface PassOptions {
  /** false where a text's own beginning does not come out the same when more follows, or when it is cut in two */
  readonly share: boolean;
  /**
   * Layers that are run for every row. All but the last token of a context predict nothing, and without predictions the
   * last layer is its keys and values only. Where that is the only layer, it is worth a call of its own; with more, the
   * call costs about what it saves.
   */
  readonly layers: number;
}

export function passesOf(requests: readonly Request[], { share, layers }: PassOptions): Step[] {
  const groups = new Map<string, number[]>();
  requests.forEach(({ context }, i) => {
    const key = context.join();
    groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  return [...groups.values()].flatMap((members) => {
    const whole = wholeTexts(requests, members, share);
    if (!share) return whole;
    const stepped = tokenByToken(requests, members);
    if (layers === 1 && stepped.ids.length > 2 * SINGLE_TOKEN_COST) return [contextFirst(stepped)];
    return tokens([stepped]) < tokens(whole) ? [stepped] : whole;
  });
}

/** Tokens that the calls cost, in tokens of a long call. */
export function tokens(steps: readonly Step[]): number {
  return steps.reduce(
    (sum, { ids, next }) => sum + (ids.length === 1 ? SINGLE_TOKEN_COST : ids.length) + tokens(next),
    0,
  );
}

/** The last token of a text predicts nothing and is not run. */
const inputOf = ({ context, continuation }: Request): number[] => [...context, ...continuation.slice(0, -1)];

function wholeTexts(requests: readonly Request[], members: readonly number[], share: boolean): Step[] {
  const texts: { ids: number[]; members: number[] }[] = [];
  const byLength = [...members].sort(
    (a, b) => requests[b]!.continuation.length - requests[a]!.continuation.length || a - b,
  );
  for (const member of byLength) {
    const ids = inputOf(requests[member]!);
    const fits = (text: number[]) =>
      (share || text.length === ids.length) && ids.every((id, i) => text[i] === id);
    const text = texts.find((one) => fits(one.ids));
    if (text) text.members.push(member);
    else texts.push({ ids, members: [member] });
  }
  return texts.map(({ ids, members: own }, i) => {
    const { context } = requests[own[0]!]!;
    const predictions = own.flatMap((request) =>
      requests[request]!.continuation.map((token, k) => ({
        position: context.length - 1 + k,
        token,
        request,
      })),
    );
    return { ids, predictions, prompt: i === 0 ? context.length - 1 : undefined, next: [] };
  });
}

/** The same with the context's last token in a call of its own, after one that fills the cache and predicts nothing. */
function contextFirst(step: Step): Step {
  const predictions = step.predictions.map((prediction) => ({ ...prediction, position: 0 }));
  const last: Step = { ids: step.ids.slice(-1), predictions, prompt: 0, next: step.next };
  return { ids: step.ids.slice(0, -1), predictions: [], next: [last] };
}

function tokenByToken(requests: readonly Request[], members: readonly number[]): Step {
  const { context } = requests[members[0]!]!;
  const at = (ids: readonly number[], depth: number, own: readonly number[]): Step => {
    const position = ids.length - 1;
    const branches = new Map<number, number[]>();
    for (const request of own) {
      const { continuation } = requests[request]!;
      if (continuation.length <= depth + 1) continue;
      const token = continuation[depth]!;
      branches.set(token, [...(branches.get(token) ?? []), request]);
    }
    return {
      ids,
      predictions: own.map((request) => ({
        position,
        token: requests[request]!.continuation[depth]!,
        request,
      })),
      next: [...branches].map(([token, inside]) => at([token], depth + 1, inside)),
    };
  };
  return { ...at(context, 0, members), prompt: context.length - 1 };
}
