/**
 * What interventions on pictures cost: the untouched model against the same with one in force, generating in lockstep. All
 * rows and heads take part (ρ = m_min = 0), which is the most there is to do. VHR's pass without the picture is measured
 * apart: it is in the note, and not in the ratio.
 */
import type { Intervention } from '../../hooks/model/index.ts';
import { pai, vhr, visualRedistribution } from '../../interventions/index.ts';
import { lockstep } from '../lockstep.ts';
import { compare, type Sample, spread } from '../paired.ts';
import { median } from '../statistics.ts';
import type { Case, Measurement, RunOptions, Suite } from '../suite.ts';
import { Contestant, PICTURE } from './contestant.ts';

/** Random weights have no sinks: a threshold that one token in ten or so exceeds. */
const VAR = visualRedistribution({ dimensions: [3, 100], tau: 2, rho: 0, minVisual: 0 });
const VHR = vhr({});
const PAI = pai({ alpha: 0.2, gamma: 1 });

/** The length of a caption, its first token out of the prefill. */
const NEW_TOKENS = 64;
const LOADS = 2;
const ROUNDS = 2;

interface Run {
  /** By step, 0 the prefill. */
  readonly steps: readonly (readonly [baseline: Sample, candidate: Sample])[];
  /** Of the candidate's prefill, ms of wall clock that a pass of its own took. */
  readonly aside: number;
}

const measured = new Map<string, Promise<readonly Run[]>>();

function measureOnce(intervention: Intervention, options: RunOptions): Promise<readonly Run[]> {
  const known = measured.get(intervention.hash);
  if (known) return known;
  const fresh = measure(intervention, options);
  measured.set(intervention.hash, fresh);
  return fresh;
}

async function measure(intervention: Intervention, { clock, effort }: RunOptions): Promise<Run[]> {
  const runs: Run[] = [];
  for (let load = 0; load < LOADS * effort; load++) {
    const plain = await Contestant.plain(clock);
    const attuned = await Contestant.attuned(clock, [intervention]);
    try {
      // Two rounds warm up: the first run of a shape plans its memory, the second allocates by that plan.
      for (let round = -2; round < ROUNDS; round++) {
        const newTokens = round < 0 ? 2 : NEW_TOKENS;
        const baseline = plain.generation(newTokens);
        const candidate = attuned.generation(newTokens);
        const swapped = round % 2 !== 0;
        const [first, second] = await lockstep(swapped ? [candidate, baseline] : [baseline, candidate]);
        if (round < 0) continue;
        const [own, its] = swapped ? [second, first] : [first, second];
        const aside = intervention.kind.run ? attuned.report('vhr.reference_ms') : 0;
        runs.push({ steps: own.map((sample, step) => [sample, its[step]!] as const), aside });
      }
    } finally {
      await plain.dispose();
      await attuned.dispose();
    }
  }
  return runs;
}

const prefill = ({ steps }: Run) => [steps[0]!];
const decode = ({ steps }: Run) => steps.slice(1);

/** The whole caption as one pair, less what a pass of its own took. */
function caption({ steps, aside }: Run): [Sample, Sample][] {
  const total = (which: 0 | 1): Sample => ({
    wall: steps.reduce((sum, pair) => sum + pair[which].wall, 0),
    cpu: steps.reduce((sum, pair) => sum + pair[which].cpu, 0),
  });
  const [baseline, candidate] = [total(0), total(1)];
  // Processor time of the pass: its share of the step it is part of.
  const share = aside / steps[0]![1].wall;
  return [[baseline, { wall: candidate.wall - aside, cpu: candidate.cpu - share * steps[0]![1].cpu }]];
}

function caseOf(
  name: string,
  intervention: Intervention,
  part: (run: Run) => readonly (readonly [Sample, Sample])[],
  bound?: number,
): Case {
  return {
    case: name,
    ...(bound !== undefined && { bound }),
    run: async (options) => summary(await measureOnce(intervention, options), part, options),
  };
}

function summary(
  runs: readonly Run[],
  part: (run: Run) => readonly (readonly [Sample, Sample])[],
  { clock }: RunOptions,
): Measurement {
  const pairs = runs.flatMap(part);
  const comparison = compare(pairs, clock);
  const { baselineMs, ms, ratio } = comparison;
  const other = clock === 'wall' ? 'cpu' : 'wall';
  const asides = runs.map(({ aside }) => aside);
  const prompt = median(runs.map(({ steps }) => steps[0]![0].wall));
  const reference =
    median(asides) > 0
      ? `; besides, the prompt without its picture takes ${median(asides).toFixed(0)} ms, ${(median(asides) / prompt).toFixed(2)} of the prompt`
      : '';
  const note = `${spread(comparison)}; by ${other} clock ${compare(pairs, other).ratio.toFixed(3)}${reference}`;
  return { baselineMs, ms, ratio, note };
}

export const visionSuite: Suite = {
  name: 'vision',
  summary: `interventions on pictures, ${PICTURE} image tokens, Qwen2.5-0.5B shape in int4`,
  cases: [
    caseOf('VAR, prefill', VAR, prefill, 1.15),
    caseOf('VAR, decode', VAR, decode, 1.05),
    caseOf('VHR, caption of 64 tokens', VHR, caption, 1.1),
    caseOf('VHR, decode', VHR, decode),
    caseOf('PAI, prefill', PAI, prefill),
    caseOf('PAI, decode', PAI, decode),
  ],
  close: async () => measured.clear(),
};
