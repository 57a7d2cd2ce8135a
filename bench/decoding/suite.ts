/**
 * What decoding interventions cost: whole generations on a model of the shape of Qwen2.5-0.5B in 4 bits, OPERA against beam search with the
 * same beams. OPERA runs beams × candidates rows a step where beam search runs beams; with one candidate (the cheap setting of
 * its README) both run the same rows and OPERA's own work is what is left: an attention row, and scores.
 *
 * Random weights hold every token for about as likely, so what leaving out implausible candidates spares is measured on
 * captions of the testbed's model.
 */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import {
  type AttunedModel,
  from_pretrained,
  type Intervention,
  type TransformersModel,
} from '../../hooks/model/index.ts';
import { beamSearch, opera } from '../../interventions/index.ts';
import { qwenInt4Folder } from '../models/qwen-int4.ts';
import { compare, paired, spread } from '../paired.ts';
import type { Case, RunOptions, Suite } from '../suite.ts';
import { captionsCase } from './captions.ts';

type Model = TransformersModel & AttunedModel & { generate(options: object): Promise<unknown> };

const BOUND = 1.2;
const BEAMS = 5;
const CONTEXT = 256;
const NEW_TOKENS = 24;
const PAIRS = 3;

let loaded: Promise<Model> | undefined;

/** Spinning threads use processor time while they wait. */
async function load({ clock }: RunOptions): Promise<Model> {
  const session_options =
    clock === 'wall' ? {} : { extra: { session: { intra_op: { allow_spinning: '0' } } } };
  return (await from_pretrained(AutoModelForCausalLM as never, await qwenInt4Folder(), {
    dtype: 'q4',
    session_options,
  })) as Model;
}

const generation = (model: Model, intervention: Intervention) => async () => {
  model.use([intervention]);
  const ids = BigInt64Array.from({ length: CONTEXT }, (_, i) => BigInt((i * 7919 + 13) % 50_000));
  await model.generate({
    input_ids: new Tensor('int64', ids, [1, CONTEXT]),
    attention_mask: new Tensor('int64', new BigInt64Array(CONTEXT).fill(1n), [1, CONTEXT]),
    max_new_tokens: NEW_TOKENS,
  });
};

function caseOf(candidates: number): Case {
  return {
    case: `OPERA, ${BEAMS} beams, ${candidates} candidate${candidates > 1 ? 's' : ''}`,
    bound: BOUND,
    run: async (options) => {
      loaded ??= load(options);
      const model = await loaded;
      const baseline = generation(model, beamSearch({ beams: BEAMS }));
      const candidate = generation(model, opera({ beams: BEAMS, candidates }));
      const pairs = await paired(baseline, candidate, { pairs: PAIRS * options.effort });
      const comparison = compare(pairs, options.clock);
      const { baselineMs, ms, ratio } = comparison;
      const other = options.clock === 'wall' ? 'cpu' : 'wall';
      const rows = `${BEAMS * candidates} rows a step against ${BEAMS}`;
      return {
        baselineMs,
        ms,
        ratio,
        note: `${spread(comparison)}; ${rows}; by ${other} clock ${compare(pairs, other).ratio.toFixed(3)}`,
      };
    },
  };
}

export const decodingSuite: Suite = {
  name: 'decoding',
  summary: `OPERA against beam search, ${NEW_TOKENS} tokens after ${CONTEXT}, Qwen2.5-0.5B shape in int4; captions of worlds-vlm`,
  cases: [
    caseOf(1),
    caseOf(5),
    ...[0, 0.01, 0.1, 1].map((plausibility) => captionsCase({ beams: BEAMS, plausibility })),
  ],
  close: async () => {
    await (await loaded)?.dispose();
    loaded = undefined;
  },
};
