/** Letting keys go: what stays is chosen group by group, caches are copied without the rest, kept keys are turned to their places. */
import type { Intervention, ModelFacts } from '../../hooks/model/index.ts';
import type { OrtTensor } from '../../hooks/session/index.ts';
import { chosenSlots } from './choose.ts';
import { compacted, floatsOf } from './compact.ts';
import type { Choice, Kept } from './kept.ts';
import type { CacheLayout } from './layout.ts';
import { scoreNamed } from './scores/index.ts';
import type { KeepCacheSpec } from './specification.ts';
import { turnsOf } from './tables.ts';

/** Keys and values by the name of the input that takes them. */
export type CacheTensors = Readonly<Record<string, OrtTensor>>;

export interface Making {
  readonly own: Intervention<KeepCacheSpec>;
  readonly model: ModelFacts;
  readonly layout: CacheLayout;
}

export async function reduced(
  kept: Kept,
  tensors: CacheTensors,
  budget: number,
  making: Making,
): Promise<{ readonly kept: Kept; readonly tensors: CacheTensors }> {
  const { layout } = making;
  const choice = await chosen(kept, tensors, budget, making);
  const moves = choice.map((slots, group) => positionsTurned(kept, slots, group, making));
  const turns = turnsOf(making.model);
  const all = layout.layers.map(async ({ key, value }, layer) => {
    const slots = (row: number, head: number) => choice[kept.group(layer, row, head)]!;
    const by = turns?.[layer];
    const positions = (row: number, head: number) => moves[kept.group(layer, row, head)]!;
    const turn =
      moves[0] && by ? { by, positions: positions as (row: number, head: number) => Int32Array } : undefined;
    return [
      [key.past, await compacted(tensors[key.past]!, { slots, turn })],
      [value.past, await compacted(tensors[value.past]!, { slots })],
    ] as const;
  });
  const pairs = (await Promise.all(all)).flat();
  // Sums over the newest rows begin anew.
  const asked = scoreNamed(making.own.spec.score.by).attention?.(making.own.spec.score);
  const next = nextOf(kept, choice, making);
  return { kept: kept.reduced(choice, next, asked === 'all'), tensors: Object.fromEntries(pairs) };
}

/** Slots that stay, by group. */
async function chosen(
  kept: Kept,
  tensors: CacheTensors,
  budget: number,
  { own: { spec }, layout }: Making,
): Promise<Choice> {
  const { sinks, recent } = spec;
  const scores = await scoresOf(kept, tensors, spec, layout);
  return scores.map((values, group) => {
    const real = kept.real[kept.rowOf(group)]!;
    return chosenSlots(kept.columns(group), real, values, { budget, sinks, recent });
  });
}

/** [groups][N]: the sum over those that share a choice. */
async function scoresOf(
  kept: Kept,
  tensors: CacheTensors,
  { score: parameters }: KeepCacheSpec,
  { layers }: CacheLayout,
): Promise<Float32Array[]> {
  const score = scoreNamed(parameters.by);
  const sums = kept.groupNumbers.map(() => new Float32Array(kept.held));
  for (const [layer, { key, site }] of layers.entries()) {
    const { kvHeads: K, headDim: D } = site;
    const keys = score.reads === 'keys' ? await floatsOf(tensors[key.past]!) : undefined;
    for (let row = 0; row < kept.B; row++) {
      for (let head = 0; head < K; head++) {
        const group = kept.group(layer, row, head);
        const at = row * K + head;
        const values = score.of(
          {
            ...{ layer, row, head, D },
            columns: kept.columns(group),
            keys: keys?.subarray(at * kept.held * D, (at + 1) * kept.held * D) ?? NOTHING,
            attention: kept.mass[layer * kept.B * K + at] ?? NOTHING,
          },
          parameters,
        );
        const sum = sums[group]!;
        for (let n = 0; n < values.length; n++) sum[n]! += values[n]!;
      }
    }
  }
  return sums;
}

const NOTHING = new Float32Array(0);

/** By how many positions the keys that stay in a group are turned; undefined where none moves. */
function positionsTurned(
  kept: Kept,
  slots: Int32Array,
  group: number,
  { own: { spec }, layout }: Making,
): Int32Array | undefined {
  if (spec.positions === 'true') {
    // Where places in the cache are positions, the newest key stands nearer to its beginning.
    return layout.fed ? undefined : new Int32Array(slots.length).fill(slots.length - kept.held);
  }
  if (!layout.fed) return slots.map((slot, i) => i - slot);
  const columns = kept.columns(group);
  const real = kept.real[kept.rowOf(group)]!;
  const ranks = new Int32Array(columns.length);
  let rank = 0;
  columns.forEach((column, slot) => {
    ranks[slot] = rank;
    rank += real[column]!;
  });
  let place = 0;
  return slots.map((slot) => (real[columns[slot]!] ? place++ - ranks[slot]! : 0));
}

/** Position of the next token by row. */
function nextOf(kept: Kept, choice: Choice, { own: { spec }, layout }: Making): readonly number[] {
  if (spec.positions === 'true' || !layout.fed) return kept.next;
  return kept.next.map((_, row) => {
    const group = kept.group(0, row, 0);
    const columns = kept.columns(group);
    return choice[group]!.reduce((next, slot) => next + kept.real[row]![columns[slot]!]!, kept.start);
  });
}
