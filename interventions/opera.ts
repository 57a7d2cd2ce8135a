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
import { defineIntervention } from './define.ts';
import { type OperaRules, OperaSearch, type OperaTrace } from './opera/search.ts';

const schema = z.strictObject({
  semantics: z.enum(['code', 'paper']).default('code').describe('which constants the others default to'),
  beams: z.int().min(1).default(5),
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

export const opera = defineIntervention({
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
