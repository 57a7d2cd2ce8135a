/**
 * What attune costs a live model: transformers.js alone against transformers.js with attune behind its session,
 * generating in lockstep on a model of the shape of Qwen2.5-0.5B in 4 bits. The interval in the note is that of the
 * median over pairs.
 */
import { lockstep } from '../lockstep.ts';
import { compare, type Sample, spread } from '../paired.ts';
import type { Case, Measurement, RunOptions, Suite } from '../suite.ts';
import { Contestant, type Variant } from './models.ts';
import { wrapperPerToken } from './wrapper.ts';

const VARIANTS: readonly Variant[] = ['nothing on', 'one γ', 'γ per head'];
const CONTEXTS = [128, 1024, 2048] as const;
type Context = (typeof CONTEXTS)[number];

const PREFILL_BOUND = 1.05;
const DECODE_BOUND = 1.02;

/** Generations per variant and context; short prompts are cheap and noisy. */
const ROUNDS: Readonly<Record<Context, number>> = { 128: 8, 1024: 4, 2048: 4 };
/** The first of them comes out of the prefill. */
const NEW_TOKENS = 33;

/** 2 % of the fastest token measured, about 20 ms, is 0.4 ms; the wrapper may take a quarter of that. */
const WRAPPER_BOUND_MS = 0.1;

type Pair = readonly [baseline: Sample, candidate: Sample];

/** Sessions are kept from case to case; one plain and one attuned at a time. */
class Ring {
  #plain: Contestant | undefined;
  #attuned: { contestant: Contestant; prepared: boolean } | undefined;
  readonly #measured = new Map<string, Promise<Pair[][]>>();

  /** Pairs by step, all rounds together: [0] the prefills. */
  pairs(variant: Variant, context: Context, options: RunOptions): Promise<Pair[][]> {
    const key = `${variant} ${context}`;
    const known = this.#measured.get(key);
    if (known) return known;
    const measured = this.#measure(variant, context, options);
    this.#measured.set(key, measured);
    return measured;
  }

  async #measure(variant: Variant, context: Context, { clock, effort }: RunOptions): Promise<Pair[][]> {
    this.#plain ??= await Contestant.plain(clock);
    const prepared = variant !== 'nothing on';
    if (this.#attuned?.prepared !== prepared) {
      await this.#attuned?.contestant.dispose();
      this.#attuned = { contestant: await Contestant.attuned(clock, prepared), prepared };
    }
    const plain = this.#plain;
    const attuned = this.#attuned.contestant;
    attuned.use(variant);
    const steps: Pair[][] = Array.from({ length: NEW_TOKENS }, () => []);
    // Round −1 warms up: first runs of a shape plan their memory.
    for (let round = -1; round < ROUNDS[context] * effort; round++) {
      const newTokens = round < 0 ? 2 : NEW_TOKENS;
      const first = [plain.generation(context, newTokens), attuned.generation(context, newTokens)] as const;
      const swapped = round % 2 !== 0;
      const [a, b] = await lockstep(swapped ? [first[1], first[0]] : [first[0], first[1]]);
      if (round < 0) continue;
      steps.forEach((pairs, step) => {
        pairs.push(swapped ? [b[step]!, a[step]!] : [a[step]!, b[step]!]);
      });
    }
    return steps;
  }

  async close(): Promise<void> {
    await this.#plain?.dispose();
    await this.#attuned?.contestant.dispose();
    this.#plain = undefined;
    this.#attuned = undefined;
    this.#measured.clear();
  }
}

const ring = new Ring();

function caseOf(variant: Variant, context: Context, phase: 'prefill' | 'decode'): Case {
  return {
    case: `${variant}, ${phase} ${context}`,
    bound: phase === 'prefill' ? PREFILL_BOUND : DECODE_BOUND,
    run: async (options) => {
      const steps = await ring.pairs(variant, context, options);
      return summary(phase === 'prefill' ? steps[0]! : steps.slice(1).flat(), options);
    },
  };
}

function summary(pairs: readonly Pair[], { clock }: RunOptions): Measurement {
  const comparison = compare(pairs, clock);
  const other = clock === 'wall' ? 'cpu' : 'wall';
  const { baselineMs, ms, ratio } = comparison;
  const note = `${spread(comparison)}; by ${other} clock ${compare(pairs, other).ratio.toFixed(3)}`;
  return { baselineMs, ms, ratio, note };
}

export const overheadSuite: Suite = {
  name: 'overhead',
  summary: 'transformers.js alone against transformers.js with attune, Qwen2.5-0.5B shape in int4',
  cases: [
    { case: 'wrapper, per token', bound: WRAPPER_BOUND_MS, bounds: 'ms', run: wrapperPerToken },
    ...VARIANTS.flatMap((variant) =>
      CONTEXTS.flatMap((context) => [
        caseOf(variant, context, 'prefill'),
        caseOf(variant, context, 'decode'),
      ]),
    ),
  ],
  close: () => ring.close(),
};
