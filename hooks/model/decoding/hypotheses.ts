/**
 * The bookkeeping of beam search for one prompt, as transformers' BeamSearchScorer does it: finished sequences by
 * Σ ln p / length^penalty, and when nothing that is still open can beat them.
 */

export interface BeamRules {
  readonly beams: number;
  /** Exponent on the length that divides a finished sequence's score; 1 is the mean of ln p. */
  readonly lengthPenalty: number;
  /** true ends with `beams` finished sequences; false when no open one is better now; 'never' when none can become so. */
  readonly earlyStopping: boolean | 'never';
  readonly eos: ReadonlySet<number>;
  readonly maxNewTokens: number;
}

/** A way to go on: open sequence `beam`, with this token, to this sum of ln p. */
export interface Extension {
  readonly beam: number;
  readonly token: number;
  readonly score: number;
}

interface Finished {
  readonly tokens: readonly number[];
  readonly score: number;
}

export class Hypotheses {
  readonly #rules: BeamRules;
  #finished: readonly Finished[] = [];
  #done = false;

  constructor(rules: BeamRules) {
    this.#rules = rules;
  }

  get done(): boolean {
    return this.#done;
  }

  /** A copy as things stand, to come back to. */
  fork(): Hypotheses {
    const copy = new Hypotheses(this.#rules);
    copy.#finished = this.#finished;
    copy.#done = this.#done;
    return copy;
  }

  /**
   * Takes the best extensions, at most 2 × beams, best first. Those that end are put aside, if they are among the best `beams`.
   * @param open tokens of the open sequences, all of one length
   * @returns the next open sequences, at most `beams`
   */
  advance(extensions: readonly Extension[], open: readonly (readonly number[])[]): Extension[] {
    const { beams, eos } = this.#rules;
    const length = (open[0]?.length ?? 0) + 1;
    const next: Extension[] = [];
    for (const [rank, extension] of extensions.entries()) {
      const { beam, token, score } = extension;
      if (!eos.has(token)) next.push(extension);
      else if (rank < beams) this.#add([...open[beam]!, token], score, length);
      if (next.length === beams) break;
    }
    this.#done ||= next.length === 0 || this.#isDone(extensions[0]?.score ?? 0, length);
    return next;
  }

  /** The best sequence; those that are still open take part as they are. */
  best(open: readonly { tokens: readonly number[]; score: number }[]): readonly number[] {
    if (!this.#done) for (const { tokens, score } of open) this.#add(tokens, score, tokens.length);
    // The later of equal ones, as sorting and taking the last does.
    return this.#finished.reduce((best, one) => (one.score >= best.score ? one : best)).tokens;
  }

  #add(tokens: readonly number[], sum: number, length: number): void {
    const one = { tokens, score: sum / length ** this.#rules.lengthPenalty };
    const all = [...this.#finished, one];
    if (all.length <= this.#rules.beams) {
      this.#finished = all;
      return;
    }
    const worst = all.reduce((least, other) => (other.score < least.score ? other : least));
    this.#finished = all.filter((other) => other !== worst);
  }

  /** @param best Σ ln p of the best extension @param length of the sequences with it */
  #isDone(best: number, length: number): boolean {
    const { beams, earlyStopping, lengthPenalty, maxNewTokens } = this.#rules;
    if (this.#finished.length < beams) return false;
    if (earlyStopping === true) return true;
    const reach = earlyStopping === 'never' && lengthPenalty > 0 ? maxNewTokens : length;
    const worst = Math.min(...this.#finished.map(({ score }) => score));
    return worst >= best / reach ** lengthPenalty;
  }
}

/** The k best of many, best first; of equal ones the earlier. */
export function bestOf(extensions: Iterable<Extension>, k: number): Extension[] {
  const best: Extension[] = [];
  for (const one of extensions) {
    if (best.length === k && one.score <= best[k - 1]!.score) continue;
    let at = best.length;
    while (at > 0 && best[at - 1]!.score < one.score) at--;
    best.splice(at, 0, one);
    if (best.length > k) best.pop();
  }
  return best;
}

/** Tokens with the k largest logits, largest first; of equal ones the smaller token. @param logits [V] */
export function largestLogits(logits: Float32Array, k: number): number[] {
  const best: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (best.length === k && !(logit > least)) continue;
    let at = best.length;
    while (at > 0 && logits[best[at - 1]!]! < logit) at--;
    best.splice(at, 0, token);
    if (best.length > k) best.pop();
    least = logits[best.at(-1)!]!;
  }
  return best;
}

/** ln Σ exp(logits). @param logits [V] */
export function logSumExp(logits: ArrayLike<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > largest) largest = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - largest);
  return largest + Math.log(sum);
}
