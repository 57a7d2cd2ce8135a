/**
 * OPERA's beam search (Huang et al., CVPR 2024; released code, opera_beam_search): every candidate is run before it is chosen and
 * charged for its stripe, and a stripe that stays takes the search back to where it began.
 *
 * Candidates are rows of one batch, so the survivors' logits and attention are there already and the usual forward of the next
 * step falls away: beams × candidates rows a step instead of beams.
 */
import {
  type BeamRequest,
  BeamRows,
  bestOf,
  type Cache,
  type Extension,
  Hypotheses,
  largestLogits,
  logSumExp,
  newestToken,
  rebuild,
  type TokenSlice,
} from '../../hooks/model/decoding/index.ts';
import type { Activation, SearchModel, Span } from '../../hooks/model/index.ts';
import { type Candidate, type Candidates, plausible } from './candidates.ts';
import { chargedLogProbabilities, type PenaltyRules, penaltyOf } from './penalty.ts';
import { decideRollback, type RollbackRules } from './rollback.ts';
import { type Stripes, stripeRow, strongest, withRow } from './stripes.ts';

export interface OperaRules extends PenaltyRules, RollbackRules {
  readonly candidates: number;
  /** Candidates less likely than this next to the last that beam search would keep are not run; 0: all are. */
  readonly plausibility: number;
  /** σ */
  readonly sigma: number;
  /** k: columns of the newest so many tokens, and as many steps of history. */
  readonly window: number;
  /** Whether a position is chosen anew from the whole vocabulary and without charges (released code) or from the candidates. */
  readonly anewUncharged: boolean;
}

/** An open sequence, with all it needs to go on from here or to be come back to. */
interface Beam {
  readonly tokens: readonly number[];
  readonly score: number;
  /** Of the next token, [V]. */
  readonly logits: Float32Array;
  readonly stripes: Stripes;
  /** What each response token left in the cache. */
  readonly slices: readonly TokenSlice[];
}

/** The search before a response token is chosen. */
interface Moment {
  readonly beams: readonly Beam[];
  readonly hypotheses: Hypotheses;
  /** `beam token` that were chosen here and are not to be again. */
  readonly rejected: Set<string>;
  chosen: readonly Extension[];
}

/** A token that was run after a beam. */
interface Tried {
  readonly beam: number;
  readonly token: number;
  readonly logits: Float32Array;
  readonly stripes: Stripes;
  readonly column: number;
  readonly penalty: number;
}

/** What a search did, for tests and reports. */
export interface OperaTrace {
  readonly rollbacks: { step: number; position: number }[];
  /** Rows of each forward after the prompt. */
  readonly rows: number[];
}

export class OperaSearch {
  readonly trace: OperaTrace = { rollbacks: [], rows: [] };
  readonly #model: SearchModel;
  readonly #request: BeamRequest;
  readonly #rules: OperaRules;
  readonly #rows: BeamRows;
  /** The last layer's pattern of the newest run, [rows,H,1,T]. */
  readonly #attention: () => Activation;
  #pictures: readonly Span[] = [];
  #promptCache: Cache | undefined;
  /** Of the tokens in it, row by row, the last that were run. */
  #cache: Cache | undefined;
  /** Row of the cache that each beam goes on from. */
  #parents: readonly number[] = [0];

  constructor(model: SearchModel, request: BeamRequest, rules: OperaRules, attention: () => Activation) {
    this.#model = model;
    this.#request = request;
    this.#rules = rules;
    this.#attention = attention;
    this.#rows = new BeamRows(model, request);
  }

  /** @param listen called after the prompt, whose attention is not needed */
  async run(listen: () => void): Promise<readonly number[]> {
    const { maxNewTokens, beams: width } = this.#request;
    const { logits, cache } = await this.#rows.prompt();
    this.#promptCache = cache;
    this.#cache = cache;
    this.#pictures = this.#model.attune.request.imageSpans;
    listen();

    let beams: readonly Beam[] = [{ tokens: [], score: 0, logits: logits[0]!, stripes: [], slices: [] }];
    let hypotheses = new Hypotheses(this.#request);
    let history: readonly (readonly number[])[] = [];
    const moments: Moment[] = [];
    const used = new Map<number, number>();
    let anew = false;
    for (let step = 0; step < maxNewTokens; step++) {
      const moment = anew
        ? moments[step]!
        : { beams, hypotheses: hypotheses.fork(), rejected: new Set<string>(), chosen: [] };
      moments[step] = moment;
      const uncharged = anew && this.#rules.anewUncharged;
      let next: Extension[];
      let tried: Tried[];
      if (uncharged) {
        next = hypotheses.advance(
          bestOf(this.#uncharged(moment), 2 * width),
          beams.map(({ tokens }) => tokens),
        );
        tried = await this.#try(beams, next, step);
      } else {
        const { run, skipped } = this.#candidates(moment, step);
        tried = await this.#try(beams, run, step);
        const locations = beams.map((_, beam) =>
          tried.filter((one) => one.beam === beam).map(({ column }) => column),
        );
        const recent = history.map((one) => one.slice(-this.#rules.window));
        const { perBeam, position } = decideRollback(recent, locations, used, this.#rules);
        // A beam that was not there before has the history of the first.
        history = perBeam.map((now, beam) => [...(history[beam] ?? history[0] ?? []), now]);
        if (position !== undefined && position <= step) {
          this.trace.rollbacks.push({ step, position });
          used.set(position, (used.get(position) ?? 0) + 1);
          const back = moments[position]!;
          for (const { beam, token } of back.chosen) back.rejected.add(`${beam} ${token}`);
          moments.length = position + 1;
          // The released code keeps what it saw at the position itself.
          const kept = position + (this.#rules.anewUncharged ? 1 : 0);
          history = history.map((one) => one.slice(0, kept));
          ({ beams } = back);
          hypotheses = back.hypotheses.fork();
          this.#comeBack(beams);
          anew = true;
          step = position - 1;
          continue;
        }
        next = hypotheses.advance(
          bestOf(this.#charged(beams, tried, skipped), 2 * width),
          beams.map(({ tokens }) => tokens),
        );
      }
      anew = false;
      moment.chosen = next;
      if (hypotheses.done) return hypotheses.best([]);
      beams = this.#adopt(beams, next, tried);
    }
    return hypotheses.best(beams);
  }

  /** The tokens that are tried after each beam. The first token has one beam only, from which all others come. */
  #candidates({ beams, rejected }: Moment, step: number): Candidates {
    const { candidates, plausibility } = this.#rules;
    const count = step === 0 ? Math.max(candidates, this.#request.beams) : candidates;
    const all = beams.flatMap(({ logits }, beam) =>
      largestLogits(logits, count + rejected.size)
        .filter((token) => !rejected.has(`${beam} ${token}`))
        .slice(0, count)
        .map((token) => ({ beam, token })),
    );
    return plausible(beams, all, { ...this.#request, plausibility });
  }

  /** Run tokens after their beams, as rows of one batch. */
  async #try(beams: readonly Beam[], pairs: readonly Candidate[], step: number): Promise<Tried[]> {
    const { promptIds } = this.#request;
    const { sigma, window } = this.#rules;
    const parents = pairs.map(({ beam }) => this.#parents[beam]!);
    const tokens = pairs.map(({ token }) => token);
    const result = await this.#rows.next(this.#cache!, parents, tokens, promptIds.length + step);
    this.#cache = result.cache;
    this.trace.rows.push(pairs.length);
    const { dims, data } = this.#attention();
    const [, H, S, T] = dims as [number, number, number, number];
    return pairs.map(({ beam, token }, row) => {
      const probabilities = data.subarray(row * H * S * T, (row + 1) * H * S * T);
      const seen = stripeRow(probabilities, H, promptIds.length, this.#pictures);
      const stripes = withRow(beams[beam]!.stripes, seen, sigma);
      const { logPhi, column } = strongest(stripes, window);
      const penalty = penaltyOf({ logPhi, picture: seen.picture, length: step + 1 }, this.#rules);
      return { beam, token, logits: result.logits[row]!, stripes, column, penalty };
    });
  }

  /** Scores of the candidates: ln p over those of one beam, after the charge; those that were not run have none. */
  *#charged(
    beams: readonly Beam[],
    tried: readonly Tried[],
    skipped: readonly Candidate[],
  ): Generator<Extension> {
    for (const [beam, { score, logits }] of beams.entries()) {
      const own = tried.filter((one) => one.beam === beam);
      const others = skipped.filter((one) => one.beam === beam);
      const logProbabilities = chargedLogProbabilities(
        [...own, ...others].map(({ token }) => logits[token]!),
        [...own.map(({ penalty }) => penalty), ...others.map(() => 0)],
        this.#rules,
      );
      for (const [i, { token }] of own.entries()) yield { beam, token, score: score + logProbabilities[i]! };
    }
  }

  /** Scores of the whole vocabulary, less what was rejected. */
  *#uncharged({ beams, rejected }: Moment): Generator<Extension> {
    for (const [beam, { score, logits }] of beams.entries()) {
      const left = logits.slice();
      for (const key of rejected) {
        const [of, token] = key.split(' ').map(Number) as [number, number];
        if (of === beam) left[token] = Number.NEGATIVE_INFINITY;
      }
      const total = logSumExp(left);
      for (const token of largestLogits(left, 2 * this.#request.beams)) {
        yield { beam, token, score: score + left[token]! - total };
      }
    }
  }

  /** The beams of the next step; their rows of the cache are found again by `#parents`. */
  #adopt(beams: readonly Beam[], next: readonly Extension[], tried: readonly Tried[]): Beam[] {
    this.#parents = next.map(({ beam, token }) =>
      tried.findIndex((one) => one.beam === beam && one.token === token),
    );
    const slices = newestToken(this.#cache!, this.#parents);
    return next.map(({ beam, token, score }, i) => {
      const parent = beams[beam]!;
      const { logits, stripes } = tried[this.#parents[i]!]!;
      return {
        tokens: [...parent.tokens, token],
        score,
        // Apart from the other rows of its run, which would stay in memory with it.
        logits: logits.slice(),
        stripes,
        slices: [...parent.slices, slices[i]!],
      };
    });
  }

  #comeBack(beams: readonly Beam[]): void {
    this.#cache = rebuild(
      this.#promptCache!,
      beams.map(({ slices }) => slices),
    );
    this.#parents = beams.map((_, row) => row);
  }
}
