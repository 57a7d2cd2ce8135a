/**
 * What a sweep over heads and strengths costs, against one session for each setting. The sweep is run whole; of the
 * settings one by one a part is timed, evenly over the layers, and taken times their number, since each costs the same.
 * Both sides give the same numbers, which is checked.
 */
import { fileURLToPath } from 'node:url';
import { Sweep, type SweepItem } from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import { type Intervention, type ModelFacts, modelFacts } from '../../hooks/model/index.ts';
import { zeroTuning } from '../../interventions/index.ts';
import { openModel } from '../../onnx/index.ts';
import { qwenInt4Folder } from '../models/qwen-int4.ts';
import { type Clock, type Sample, timed } from '../paired.ts';
import type { Case, Measurement, RunOptions, Suite } from '../suite.ts';
import { scoreAlone } from './one-by-one.ts';

/** A tenth of the time. */
const BOUND = 0.1;

interface Setup {
  readonly file: () => Promise<string>;
  readonly config: object;
  readonly items: readonly SweepItem[];
  /** Layers whose heads are swept. */
  readonly layers: readonly number[];
  readonly gammas: readonly number[];
  /** Settings timed one by one. */
  readonly sampled: number;
  /** Log-likelihoods of two tokens may differ by so much. */
  readonly tolerance: number;
}

const testbed = fileURLToPath(new URL('../../testbed/models/worlds-lm/', import.meta.url));

/** n prompts of S tokens, each with four answers of the given length; tokens are arbitrary, their number is not. */
function prompts(n: number, S: number, answer: number, vocabulary: number): SweepItem[] {
  const token = (i: number) => 3 + ((i * 7919 + 13) % (vocabulary - 3));
  return Array.from({ length: n }, (_, item) => {
    const context = Array.from({ length: S }, (__, s) => (s === 0 ? 1 : token(item * S + s)));
    const continuation = (choice: number) =>
      Array.from({ length: answer }, (__, k) => token(item + 31 * choice + 57 * k));
    return {
      id: `${item}`,
      requests: [0, 1, 2, 3].map((choice) => ({ context, continuation: continuation(choice) })),
    };
  });
}

const SETUPS: Readonly<Record<string, Setup>> = {
  'testbed model, all 20 heads × 6 γ, 8 prompts of 96 tokens': {
    file: async () => `${testbed}onnx/model_gqa.onnx`,
    config: {},
    items: prompts(8, 96, 2, 1280),
    layers: [0, 1, 2, 3, 4],
    gammas: [0.25, 0.5, 1.5, 2, 3, 4],
    sampled: 6,
    tolerance: 1e-4,
  },
  'Qwen2.5-0.5B shape in int4, 42 heads of 3 layers, a prompt of 64 tokens': {
    file: async () => `${await qwenInt4Folder()}/onnx/model_q4.onnx`,
    config: {},
    items: prompts(1, 64, 2, 100_000),
    // Evenly from bottom to top, so that what is shared below them is what all layers share on average.
    layers: [4, 12, 20],
    gammas: [2],
    sampled: 3,
    // Its products round activations to 8 bits: what differs in the last place of a float may come to lie a step apart. One
    // text run whole and the same text run in two parts differ by 6e-3, without any sweep.
    tolerance: 0.2,
  },
};

async function factsOf({ file, config }: Setup): Promise<ModelFacts> {
  return modelFacts(await openModel(await file()), config as Record<string, unknown>);
}

function settingsOf({ layers, gammas }: Setup, { decoder }: ModelFacts): Intervention[] {
  return layers.flatMap((layer) =>
    Array.from({ length: decoder[layer]!.numHeads }, (_, head) =>
      gammas.map((gamma) => zeroTuning({ gamma, heads: [[layer, head]] })),
    ).flat(),
  );
}

/** Spinning threads use processor time while they wait, which only a quiet machine may count. */
const sessionOptions = (clock: Clock): Record<string, unknown> =>
  clock === 'wall' ? {} : { extra: { session: { intra_op: { allow_spinning: '0' } } } };

async function measured(
  setup: Setup,
  sharePrompts: boolean,
  { clock, effort }: RunOptions,
): Promise<Measurement> {
  const facts = await factsOf(setup);
  try {
    const session = sessionOptions(clock);
    const settings = settingsOf(setup, facts);
    const count = Math.min(settings.length, setup.sampled * effort);
    const sampled = Array.from({ length: count }, (_, i) =>
      Math.floor(((i + 0.5) * settings.length) / count),
    );
    const alone: Sample[] = [];
    const expected: number[][][] = [];
    const timeAlone = async (which: readonly number[]) => {
      for (const i of which) {
        alone.push(
          await timed(async () => {
            expected.push(await scoreAlone(facts, settings[i]!, setup.items, { sharePrompts, session }));
          }),
        );
      }
    };
    // Half before and half after, so that a machine that gets slower or faster does so for both.
    await timeAlone(sampled.slice(0, count >> 1));
    let found: readonly (readonly { logLikelihoods: readonly number[] }[])[] = [];
    const together = await timed(async () => {
      await using sweep = new Sweep(facts, { session });
      found = await sweep.run(setup.items, settings);
    });
    await timeAlone(sampled.slice(count >> 1));
    const worst = sampled.map((i, k) =>
      difference(
        expected[k]!,
        found[i]!.map((one) => one.logLikelihoods),
      ),
    );
    check(Math.max(...worst), setup.tolerance);
    const mean = alone.reduce((sum, sample) => sum + sample[clock], 0) / alone.length;
    const [baselineMs, ms] = [mean * settings.length, together[clock]];
    return {
      baselineMs,
      ms,
      ratio: ms / baselineMs,
      note: `${(baselineMs / ms).toFixed(1)}× faster; ${settings.length} settings, ${count} of them timed alone; largest difference ${Math.max(...worst).toExponential(1)}`,
    };
  } finally {
    facts.file.close();
  }
}

function difference(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number {
  return Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!))));
}

function check(worst: number, tolerance: number): void {
  if (worst <= tolerance) return;
  throw new AttuneError('BENCH_DISAGREES', {
    found: `log-likelihoods that differ by ${worst}`,
    expected: `at most ${tolerance} between a sweep and settings one by one`,
  });
}

const cases = Object.entries(SETUPS).flatMap(([name, setup]): Case[] => [
  { case: name, bound: BOUND, run: (options) => measured(setup, false, options) },
  { case: `${name}; one by one with shared prompts`, run: (options) => measured(setup, true, options) },
]);

export const calibrationSuite: Suite = {
  name: 'calibration',
  summary: 'a sweep over heads and strengths against one session for each setting',
  cases,
};
