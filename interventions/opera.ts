/**
 * OPERA (Huang et al., CVPR 2024, arXiv 2311.17911): beam search that charges a candidate for the strongest stripe it would
 * make in the last layer's attention (all later tokens looking at one earlier token of the response), and goes back when a
 * stripe stays. The model is left alone: one attention row of one layer is read for each candidate.
 *
 * The released code and the paper differ (docs/decoding.md); `semantics` chooses the constants of one or the other.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import { beamRequest, sequencesOf } from '../hooks/model/decoding/index.ts';
import type { Activation, ModelFacts, SearchModel } from '../hooks/model/index.ts';
import { defineIntervention, type Filled, type InterventionFactory } from './define.ts';
import { type OperaRules, OperaSearch, type OperaTrace } from './opera/search.ts';

const schema = z.strictObject({
  semantics: z.enum(['code', 'paper']).default('code').describe('which constants the others default to'),
  beams: z.int().min(1).default(5).describe('sequences that are kept'),
  candidates: z.int().min(1).default(5).describe('N_can: tokens that are tried after each beam'),
  plausibility: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      'ours: candidates that are, uncharged, less likely than this next to the last that beam search would keep are not run; 0 runs all, as published',
    ),
  sigma: z
    .number()
    .positive()
    .default(50)
    .describe('σ: scales attention, so that stripes exceed 1 and others do not'),
  alpha: z.number().nonnegative().default(1).describe('α: weight of the penalty; 0 charges nothing'),
  threshold: z
    .int()
    .min(0)
    .default(15)
    .describe('r: steps in which one column is the strongest before the search goes back'),
  rollbacks: z.int().min(0).default(5).describe('β: how often a position is chosen anew; 0 never goes back'),
  window: z.int().min(1).default(512).describe('k: columns and steps of history that count'),
  factor: z.number().positive().optional().describe('of φ; default 1e-7 in the code, 1 in the paper'),
  shortResponse: z
    .int()
    .min(0)
    .optional()
    .describe(
      'responses of at most so many tokens are rewarded for looking at the picture; default 10, paper 0',
    ),
  minLocation: z.int().min(0).optional().describe('columns before it are left alone; default 10, paper 0'),
});

/** Parameters of opera. */
export interface OperaParameters {
  /** which constants the others default to. Default 'code'. */
  semantics?: 'code' | 'paper' | undefined;
  /** sequences that are kept. Default 5. */
  beams?: number | undefined;
  /** N_can: tokens that are tried after each beam. Default 5. */
  candidates?: number | undefined;
  /**
   * ours: candidates that are, uncharged, less likely than this next to the last that beam search would keep
   * are not run; 0 runs all, as published. Default 0.
   */
  plausibility?: number | undefined;
  /** σ: scales attention, so that stripes exceed 1 and others do not. Default 50. */
  sigma?: number | undefined;
  /** α: weight of the penalty; 0 charges nothing. Default 1. */
  alpha?: number | undefined;
  /** r: steps in which one column is the strongest before the search goes back. Default 15. */
  threshold?: number | undefined;
  /** β: how often a position is chosen anew; 0 never goes back. Default 5. */
  rollbacks?: number | undefined;
  /** k: columns and steps of history that count. Default 512. */
  window?: number | undefined;
  /** of φ; default 1e-7 in the code, 1 in the paper. */
  factor?: number | undefined;
  /** responses of at most so many tokens are rewarded for looking at the picture; default 10, paper 0. */
  shortResponse?: number | undefined;
  /** columns before it are left alone; default 10, paper 0. */
  minLocation?: number | undefined;
}

/**
 * OPERA: beam search that charges a candidate for the strongest stripe it would make in the last layer's attention (all later tokens
 * looking at one earlier token of the response), and goes back when a stripe stays.
 *
 *     w_ij = max_h P_ihj / Σ_t max_h P_iht over all keys t,   φ = max_j Π_{i ≥ j} σ w_ij over tokens j of the response
 *     score(candidate) = log softmax(l − α factor φ),   l the candidates' logits
 *
 * P is the last layer's map [H, T] of each row i. The search goes back to a column that was the strongest for more than r steps and chooses
 * anew there, at most β times. The model itself is left alone: one row of one layer is read for each candidate. One prompt at a time.
 * Source: Huang et al., arXiv 2311.17911, sections 3.1 and 3.2; code shikiw/OPERA. docs/decoding.md says where they differ.
 *
 * @example
 * ```ts
 * const search = vlm.with([opera({ beams: 3, candidates: 3 })]);
 * const output = await search.generate({ ...imageInputs, max_new_tokens: 8 });
 * console.log(output.dims); // [1, S + 8] or less
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, INTERVENTION_REFUSED where the last layer's map cannot be read; when it runs,
 *   SEARCH_OPTION, SEARCH_BATCH, CACHE_LAYOUT
 */
export const opera: InterventionFactory<
  OperaParameters,
  Filled<OperaParameters, Exclude<keyof OperaParameters, 'factor' | 'shortResponse' | 'minLocation'>>
> = defineIntervention({
  name: 'opera',
  stage: 'decoding',
  needs: ['self-attention'],
  reference: 'arXiv 2311.17911, sections 3.1 and 3.2; shikiw/OPERA',
  schema,
  plan: (model) => {
    lastPattern(model);
    return {};
  },
  knobs: () => ({}),
  decoding: (spec) => ({
    kind: 'search',
    generate: async (model, options) => (await operaGenerate(spec, model, options)).output,
  }),
});

/** The search, with what it did on the way. */
export async function operaGenerate(
  spec: z.output<typeof schema>,
  model: SearchModel,
  options: Readonly<Record<string, unknown>>,
): Promise<{ output: unknown; trace: OperaTrace }> {
  const request = beamRequest('opera', spec.beams, model, options);
  let newest: Activation | undefined;
  return model.attune.watch(lastPattern(model.attune.facts), async (listen, watched) => {
    const search = new OperaSearch(watched, request, rulesOf(spec), () => newest!);
    let stop = () => {};
    try {
      const response = await search.run(() => {
        stop = listen((values) => {
          [newest] = values.values();
        });
      });
      return { output: sequencesOf(request, response), trace: search.trace };
    } finally {
      stop();
    }
  });
}

function rulesOf({ semantics, rollbacks, ...spec }: z.output<typeof schema>): OperaRules {
  const code = semantics === 'code';
  const { factor = code ? 1e-7 : 1, shortResponse = code ? 10 : 0, minLocation = code ? 10 : 0 } = spec;
  return {
    ...spec,
    factor,
    shortResponse,
    minLocation,
    most: rollbacks,
    inclusive: !code,
    anewUncharged: code,
  };
}

/** @throws AttuneError INTERVENTION_REFUSED where the last layer's pattern cannot be read */
function lastPattern({ points, decoder }: ModelFacts): string {
  const site = decoder.at(-1);
  const point = points.find((candidate) => candidate.kind === 'hook_pattern' && candidate.site === site);
  if (point && point.source.from !== 'nowhere') return point.name;
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: 'opera',
    found: `a last layer whose attention pattern cannot be read${site ? ` (${site.form})` : ''}`,
    expected: 'self-attention with a hook_pattern',
    hint: '`attune inspect --points` shows which layers have one.',
  });
}
