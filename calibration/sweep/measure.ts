/** One item under many settings: log-likelihoods of what may follow its prompts, and how sure the next token is. */
import type { Intervention } from '../../hooks/model/index.ts';
import { entropy, logSumExp } from './distribution.ts';
import type { Step } from './passes.ts';
import type { Past, SweepSession } from './sweep-session.ts';

/** What one item is under one setting. */
export interface Measurement {
  /** Σ ln p(token | all before it) of each request's continuation, in nats; NaN where logits are not finite. */
  readonly logLikelihoods: readonly number[];
  /** Mean over the item's prompts of the entropy of the token after them, in nats. */
  readonly entropy: number;
}

/**
 * @param settings one for each row; empty for the baseline alone
 * @returns a measurement for each row
 */
export async function measure(
  session: SweepSession,
  steps: readonly Step[],
  settings: readonly Intervention[],
): Promise<Measurement[]> {
  session.use(settings);
  const rows = Math.max(1, settings.length);
  const requests = 1 + Math.max(...allPredictions(steps).map(({ request }) => request));
  const sums = Array.from({ length: rows }, () => new Float64Array(requests));
  const entropies = new Float64Array(rows);
  let prompts = 0;

  const visit = async ({ ids, predictions, prompt, next }: Step, past: Past | undefined): Promise<void> => {
    const wanted = [
      ...new Set([...(prompt === undefined ? [] : [prompt]), ...predictions.map((p) => p.position)]),
    ];
    const place = new Map(wanted.map((position, i) => [position, i]));
    const n = wanted.length;
    // A call that predicts nothing fills the cache.
    const { logits, V, past: present } = await session.run({ ids, wanted, past, keep: next.length > 0 });
    if (prompt !== undefined) prompts += 1;
    for (let row = 0; row < rows; row++) {
      const offset = (position: number) => (row * n + place.get(position)!) * V;
      const normalisers = new Map<number, number>();
      for (const { position, token, request } of predictions) {
        const at = offset(position);
        const normaliser = normalisers.get(position) ?? logSumExp(logits, at, V);
        normalisers.set(position, normaliser);
        sums[row]![request]! += logits[at + token]! - normaliser;
      }
      if (prompt !== undefined) entropies[row]! += entropy(logits, offset(prompt), V);
    }
    for (const step of next) await visit(step, present);
  };
  for (const step of steps) await visit(step, undefined);
  return sums.map((logLikelihoods, row) => ({
    logLikelihoods: Array.from(logLikelihoods, (sum) => (Number.isFinite(sum) ? sum : Number.NaN)),
    entropy: entropies[row]! / prompts,
  }));
}

function allPredictions(steps: readonly Step[]): Step['predictions'][number][] {
  return steps.flatMap(({ predictions, next }) => [...predictions, ...allPredictions(next)]);
}
