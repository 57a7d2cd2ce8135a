/**
 * What attune costs a live model: transformers.js alone against transformers.js with attune behind its session,
 * generating in lockstep on models of the shapes of Qwen2.5-0.5B and SmolLM2-135M in 4 bits. The interval in the note is that of the
 * median over pairs.
 */
import { lockstep } from '../lockstep.ts';
import { compare, type Sample, spread } from '../paired.ts';
import type { Case, Measurement, RunOptions, Suite } from '../suite.ts';
import { Contestant, QWEN, type Shape, SMOLLM2, type Variant } from './models.ts';
import { wrapperPerToken } from './wrapper.ts';

const VARIANTS: readonly Variant[] = ['nothing on', 'one γ', 'γ per head'];
const CONTEXTS = [128, 1024, 2048] as const;
type Context = (typeof CONTEXTS)[number] | 300 | 1500;

type Phase = 'prefill' | 'decode';
const BOUNDS: Readonly<Record<Phase, number>> = { prefill: 1.05, decode: 1.02 };
/** Sinks take a map's sums of columns to find, and a correction of all outputs. */
const SINK_BOUNDS: Readonly<Record<Phase, number>> = { prefill: 1.15, decode: 1.05 };
/** What a prompt's attention among documents, and a token's ranking of them, may cost. */
const DOCUMENT_BOUNDS: Readonly<Record<Phase, number>> = { prefill: 1.6, decode: 1.25 };

/**
 * Both sides are loaded anew this many times. Where a session's memory comes to lie makes decoding up to 10 % faster
 * or slower for as long as it lives, and only other sessions show it.
 */
const LOADS = 3;
/** Generations per load; short prompts are cheap and noisy. */
const ROUNDS: Readonly<Record<Context, number>> = { 128: 4, 300: 4, 1024: 2, 1500: 2, 2048: 2 };
/** The first of them comes out of the prefill. */
const NEW_TOKENS = 33;

/** 2 % of the fastest token measured, about 20 ms, is 0.4 ms; the wrapper may take a quarter of that. */
const WRAPPER_BOUND_MS = 0.1;

type Pair = readonly [baseline: Sample, candidate: Sample];
/** Pairs by load and step; step 0 is the prefill. */
type Steps = readonly (readonly Pair[])[];

/** A generation gives a prefill and tokens: measured once for the two cases that ask. */
const measured = new Map<string, Promise<readonly Steps[]>>();

function measureOnce(
  shape: Shape,
  variant: Variant,
  context: Context,
  options: RunOptions,
): Promise<readonly Steps[]> {
  const key = `${shape.name} ${variant} ${context}`;
  const known = measured.get(key);
  if (known) return known;
  const fresh = measure(shape, variant, context, options);
  measured.set(key, fresh);
  return fresh;
}

async function measure(
  shape: Shape,
  variant: Variant,
  context: Context,
  { clock, effort }: RunOptions,
): Promise<Steps[]> {
  const loads: Steps[] = [];
  for (let load = 0; load < LOADS * effort; load++) {
    const plain = await Contestant.plain(shape, clock);
    const attuned = await Contestant.attuned(shape, clock, variant);
    try {
      loads.push(await generations(plain, attuned, context));
    } finally {
      await plain.dispose();
      await attuned.dispose();
    }
  }
  return loads;
}

async function generations(plain: Contestant, attuned: Contestant, context: Context): Promise<Steps> {
  const steps: Pair[][] = Array.from({ length: NEW_TOKENS }, () => []);
  // Two rounds warm up: the first run of a shape plans its memory, the second allocates by that plan.
  for (let round = -2; round < ROUNDS[context]; round++) {
    const newTokens = round < 0 ? 2 : NEW_TOKENS;
    const baseline = plain.generation(context, newTokens);
    const candidate = attuned.generation(context, newTokens);
    const swapped = round % 2 !== 0;
    const [first, second] = await lockstep(swapped ? [candidate, baseline] : [baseline, candidate]);
    if (round < 0) continue;
    steps.forEach((pairs, step) => {
      pairs.push(swapped ? [second[step]!, first[step]!] : [first[step]!, second[step]!]);
    });
  }
  return steps;
}

function caseOf(variant: Variant, context: Context, phase: Phase, bounds = BOUNDS, shape = QWEN): Case {
  const of = shape === QWEN ? '' : `${shape.name}, `;
  return {
    case: `${of}${variant}, ${phase} ${context}`,
    bound: bounds[phase],
    run: async (options) => {
      const loads = await measureOnce(shape, variant, context, options);
      return summary(
        loads.map((steps) => (phase === 'prefill' ? steps[0]! : steps.slice(1).flat())),
        options,
      );
    },
  };
}

function summary(loads: readonly (readonly Pair[])[], { clock }: RunOptions): Measurement {
  const comparison = compare(loads.flat(), clock);
  const { baselineMs, ms, ratio } = comparison;
  const byLoad = loads.map((pairs) => compare(pairs, clock).ratio.toFixed(3)).sort();
  const other = clock === 'wall' ? 'cpu' : 'wall';
  const otherRatio = compare(loads.flat(), other).ratio.toFixed(3);
  const note = `${spread(comparison)}; by load ${byLoad.join(' ')}; by ${other} clock ${otherRatio}`;
  return { baselineMs, ms, ratio, note };
}

/** Attention and the count of nodes weigh most in a small model. */
const SMALL_MODEL: readonly Case[] = [
  caseOf('γ per head', 1500, 'prefill', BOUNDS, SMOLLM2),
  caseOf('γ per head', 1500, 'decode', BOUNDS, SMOLLM2),
  caseOf('ACT, all heads', 300, 'prefill', SINK_BOUNDS, SMOLLM2),
  caseOf('ACT, all heads', 300, 'decode', SINK_BOUNDS, SMOLLM2),
  caseOf('ACT, all heads', 1500, 'prefill', SINK_BOUNDS, SMOLLM2),
  caseOf('ACT, all heads', 1500, 'decode', SINK_BOUNDS, SMOLLM2),
  caseOf('PINE, 10 documents', 1024, 'prefill', DOCUMENT_BOUNDS, SMOLLM2),
  caseOf('PINE, 10 documents', 1024, 'decode', DOCUMENT_BOUNDS, SMOLLM2),
  ...(['steer, all layers', 'steer to a range, all layers', 'PASTA, half the heads'] as const).flatMap(
    (variant) => [
      caseOf(variant, 300, 'prefill', BOUNDS, SMOLLM2),
      caseOf(variant, 300, 'decode', BOUNDS, SMOLLM2),
    ],
  ),
];

export const overheadSuite: Suite = {
  name: 'overhead',
  summary:
    'transformers.js alone against transformers.js with attune, Qwen2.5-0.5B and SmolLM2-135M shapes in int4',
  cases: [
    { case: 'wrapper, per token', bound: WRAPPER_BOUND_MS, bounds: 'ms', run: wrapperPerToken },
    ...VARIANTS.flatMap((variant) =>
      CONTEXTS.flatMap((context) => [
        caseOf(variant, context, 'prefill'),
        caseOf(variant, context, 'decode'),
      ]),
    ),
    caseOf('ACT, all heads', 1024, 'prefill', SINK_BOUNDS),
    caseOf('ACT, all heads', 1024, 'decode', SINK_BOUNDS),
    caseOf('PINE, 10 documents', 1024, 'prefill', DOCUMENT_BOUNDS),
    caseOf('PINE, 10 documents', 1024, 'decode', DOCUMENT_BOUNDS),
    ...SMALL_MODEL,
  ],
  close: async () => measured.clear(),
};
