/** 5,000 tokens written under a bounded cache: keys that are held at most, and whether memory of the process grows. */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { type AttunedModel, from_pretrained, type TransformersModel } from '../../hooks/model/index.ts';
import { keepCache } from '../../interventions/index.ts';
import type { Case } from '../suite.ts';

type Model = TransformersModel & AttunedModel & { generate(options: object): Promise<Tensor> };

const FOLDER = 'testbed/fixtures/llama-gqa';
const TOKENS = 5000;
const [BUDGET, EVERY] = [64, 16];

export const memoryCase: Case = {
  case: `keys held at most, ${TOKENS} tokens written with a budget of ${BUDGET} and ${EVERY} beyond`,
  bound: BUDGET + EVERY,
  bounds: 'value',
  run: async () => {
    const model = (await from_pretrained(AutoModelForCausalLM as never, FOLDER, { dtype: 'fp32' })) as Model;
    try {
      let [most, tokens, early] = [0, 0, 0];
      const view = model.with([keepCache({ budget: BUDGET, every: EVERY })]);
      const put = () => {
        tokens++;
        most = Math.max(most, view.attune.request.cache?.kept.dims[3] ?? 0);
        if (tokens === TOKENS / 5) early = process.memoryUsage().rss;
      };
      await view.generate({
        input_ids: new Tensor('int64', BigInt64Array.from([1n, 5n, 9n]), [1, 3]),
        max_new_tokens: TOKENS,
        do_sample: false,
        eos_token_id: null,
        streamer: { put, end: () => {} },
      });
      const grown = (process.memoryUsage().rss - early) / 1e6;
      return {
        value: most,
        note: `${tokens} calls of the streamer; ${grown.toFixed(0)} MB more after the last four fifths`,
      };
    } finally {
      await model.dispose();
    }
  },
};
