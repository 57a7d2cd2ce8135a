/**
 * Which candidates are run. In OPERA all N_can of every beam are; with a plausibility those are left out that beam search would
 * not keep and that no ordinary charge brings back:
 *
 *   s = score of the beam + ln p over its candidates, uncharged
 *   run: s ≥ (the beams-th largest s of those that do not end) + ln plausibility, and the likeliest of each beam
 *
 * There is no rule that leaves out some and changes nothing: a candidate's charge is in the normaliser of all candidates of
 * its beam, and its column in the beam's vote on going back. What was left out stays in the normaliser, uncharged. Where
 * charges of a step differ by at most c, scores move by at most c, and e^(−2c) leaves out none that would have been kept.
 */
import { logSumExp } from '../../hooks/model/decoding/index.ts';

export interface Candidate {
  readonly beam: number;
  readonly token: number;
}

export interface Candidates {
  readonly run: readonly Candidate[];
  /** Likelier than nothing, and not run. */
  readonly skipped: readonly Candidate[];
}

export interface PlausibilityRules {
  /** 0: all are run. */
  readonly plausibility: number;
  readonly beams: number;
  readonly eos: ReadonlySet<number>;
}

/**
 * @param beams by index, with the logits of the next token, [V]
 * @param all of one beam together, likeliest first
 */
export function plausible(
  beams: readonly { readonly score: number; readonly logits: Float32Array }[],
  all: readonly Candidate[],
  { plausibility, beams: width, eos }: PlausibilityRules,
): Candidates {
  if (plausibility === 0) return { run: all, skipped: [] };
  const own = beams.map((_, beam) => all.filter((one) => one.beam === beam));
  const totals = beams.map(({ logits }, beam) => logSumExp(own[beam]!.map(({ token }) => logits[token]!)));
  const scoreOf = ({ beam, token }: Candidate): number =>
    beams[beam]!.score + beams[beam]!.logits[token]! - totals[beam]!;
  const open = all.filter(({ token }) => !eos.has(token)).map(scoreOf);
  const last = open.sort((a, b) => b - a)[width - 1] ?? Number.NEGATIVE_INFINITY;
  const least = last + Math.log(plausibility);
  const kept = (one: Candidate) => one === own[one.beam]![0] || scoreOf(one) >= least;
  return { run: all.filter(kept), skipped: all.filter((one) => !kept(one)) };
}
