/**
 * Bounded caches: of the keys and values of a sequence some stay and the others go, so that a chat may run for hours in constant
 * memory and decoding does not slow down with every token. One specification: a score (which keys stay), a budget (how many),
 * granularity (who has one choice), positions (where kept keys stand), a schedule.
 *
 *   StreamingLLM, Xiao et al., arXiv 2309.17453: { score: 'window', sinks: 4, budget: 1024 }
 */
import { AttuneError } from '../errors.ts';
import type { Edit, Knob } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { attentionEdit, rowsKnob } from './keep-cache/attention.ts';
import { cacheLayout, refuse } from './keep-cache/layout.ts';
import { runKept, turns } from './keep-cache/run.ts';
import type { ScoreName } from './keep-cache/scores/index.ts';
import { scoreNamed } from './keep-cache/scores/index.ts';
import { type KeepCacheSpec, type ScoreGiven, schema } from './keep-cache/specification.ts';
import { tablesEdit, tablesKnob } from './keep-cache/tables.ts';
import { hiddenEdits, hiddenKnob } from './keep-cache/twin.ts';

type Variant = Pick<KeepCacheSpec, 'positions' | 'hold'> & { readonly attention: boolean };

/** Parameters of keepCache. */
export interface KeepCacheParameters {
  /** what decides which keys stay; default window. */
  score?: ScoreName | ScoreGiven | undefined;
  /** keys of a layer that stay: a number, or { share } of the tokens so far. */
  budget: number | { readonly share: number };
  /** first tokens of a sequence, which always stay. Default 4. */
  sinks?: number | undefined;
  /** newest tokens, which always stay; default 16, for 'window' all but the sinks. */
  recent?: number | undefined;
  /** who has one choice: the whole model, each layer, or each kv head; default by score. */
  granularity?: 'model' | 'layer' | 'head' | undefined;
  /**
   * 'slots': kept keys are numbered anew, so that a sequence may go on for ever; 'true': they stay where
   * they were; default by score.
   */
  positions?: 'slots' | 'true' | undefined;
  /**
   * keys beyond the budget before some go: what goes is copied over once for as many tokens. Default 32.
   */
  every?: number | undefined;
  /** keys go after a call, or before one that would exceed the budget. Default 'after'. */
  when?: 'after' | 'before' | undefined;
  /**
   * 'mask': nothing goes, what would have gone is hidden; a check that gives the same tokens. Default
   * 'evict'.
   */
  hold?: 'evict' | 'mask' | undefined;
}

/**
 * Keeps as many keys and values of each layer as `budget` says and lets the others go, so that memory is constant and a token costs
 * the same wherever it stands. Default: the first 4 tokens and the newest ones (StreamingLLM), numbered anew. docs/long-context.md
 *
 * @example
 * ```ts
 * const output = await model.generate({ ...inputs, max_new_tokens: 60, interventions: [keepCache({ budget: 32 })] });
 * model.use([keepCache({ score: 'snapkv', budget: 256 })]); // keys that the newest tokens attend to
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 * @throws AttuneError SPEC_INVALID; with a model CACHE_BUDGET, INTERVENTION_REFUSED, INTERVENTION_CONFLICT; when run,
 *   STATE_MISMATCH, CONTEXT_EXCEEDED
 */
export const keepCache: InterventionFactory<KeepCacheParameters, KeepCacheSpec> = defineIntervention({
  name: 'keep-cache',
  stage: 'keys',
  needs: ['self-attention'],
  dropsKeys: true,
  conflicts: {
    emphasis: 'Spans are marked among the keys of a prompt, which move when some are left out.',
    zerotuning: (own, other) => {
      const { sinks } = own.spec as KeepCacheSpec;
      const [, end] = other.spec.tokens as [number, number];
      return end <= sinks
        ? undefined
        : `The tokens whose weight is scaled have to stay: sinks is ${sinks}, and they end at ${end}.`;
    },
  },
  reference: 'arXiv 2309.17453, 2306.14048, 2401.06104, 2404.14469, 2406.11430, 2504.15364',
  schema,
  variant: (spec): Variant => ({
    positions: spec?.positions ?? 'slots',
    hold: spec?.hold ?? 'evict',
    attention: spec !== undefined && scoreNamed(spec.score.by).reads === 'attention',
  }),
  plan: (model, variant: Variant) => {
    const layout = cacheLayout(model);
    const turning = turns(variant, layout);
    if (turning) refuseStill(model, variant);
    if (variant.hold === 'mask' && variant.positions === 'slots' && !layout.fed) {
      throw refuse(
        "hold: 'mask', positions: 'slots'",
        'a model that takes places in the cache for positions',
      );
    }
    const masks = variant.hold === 'mask';
    const parts: readonly (readonly [boolean, () => Knob, () => readonly Edit[]])[] = [
      [turning, () => tablesKnob, () => [tablesEdit(layout)]],
      [masks, () => hiddenKnob(model), () => hiddenEdits(model)],
      [variant.attention, () => rowsKnob, () => [attentionEdit(layout)]],
    ];
    const taken = parts.filter(([isTaken]) => isTaken);
    return { knobs: taken.map(([, knob]) => knob()), edits: taken.flatMap(([, , edits]) => edits()) };
  },
  knobs: (spec, model) => {
    checkBudget(spec, model);
    return {};
  },
  run: runKept,
});

/** @throws AttuneError INTERVENTION_REFUSED where keys cannot be moved to other positions */
function refuseStill({ decoder }: ModelFacts, { positions }: Variant): void {
  const still = decoder.find(({ rotary }) => rotary === undefined);
  if (!still) return;
  throw refuse(
    `layer ${still.layer}, positions: '${positions}'`,
    'positions that are not rotations, which keys cannot be moved by',
  );
}

/** @throws AttuneError CACHE_BUDGET */
function checkBudget({ budget, every, positions }: KeepCacheSpec, { config }: ModelFacts): void {
  const text = (config.text_config ?? config) as { max_position_embeddings?: unknown };
  const limit = text.max_position_embeddings;
  if (typeof limit !== 'number' || typeof budget !== 'number') return;
  const needed = positions === 'slots' ? budget + every : budget;
  if (needed <= limit) return;
  throw new AttuneError('CACHE_BUDGET', {
    at: 'keep-cache',
    found:
      positions === 'slots'
        ? `a budget of ${budget} keys and ${every} beyond it`
        : `a budget of ${budget} keys`,
    expected: `at most ${limit}, the model's max_position_embeddings`,
    hint: 'A budget that is never reached keeps everything; give a smaller one.',
  });
}
