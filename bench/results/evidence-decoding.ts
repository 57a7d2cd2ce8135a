/** What the second stream of VCD says, and whether OPERA's search goes back. */
import { Tensor } from '@huggingface/transformers';
import type { SearchModel } from '../../hooks/model/index.ts';
import { opera } from '../../interventions/index.ts';
import { diffused } from '../../interventions/noise.ts';
import { operaGenerate } from '../../interventions/opera.ts';
import { type Model, mean, type Params, type Prompt, tokensOf } from './evidence-prompts.ts';

/** What VCD's second stream says: yes by what is asked for, of the picture and of its noised copy. */
export async function noisedAnswers(model: Model, prompts: readonly Prompt[]) {
  const yes = async (inputs: object) => {
    const prompt = (inputs as Prompt['inputs']).input_ids.dims[1]!;
    const written = tokensOf(await model.generate({ ...inputs, max_new_tokens: 1, do_sample: false }));
    return written[prompt]!;
  };
  const answers: { label: boolean; clear: number; noised: number }[] = [];
  for (const { item, inputs } of prompts) {
    const pixels = inputs.pixel_values;
    const data = diffused(pixels.data as Float32Array, 500, 0);
    const noised = { ...inputs, pixel_values: new Tensor('float32', data, pixels.dims) };
    answers.push({
      label: item.output === 'yes_no' && item.label,
      clear: await yes(inputs),
      noised: await yes(noised),
    });
  }
  // The token that right answers about what is there begin with most often.
  const there = answers.filter(({ label }) => label).map(({ clear }) => clear);
  const token = there.sort(
    (a, b) => there.filter((x) => x === b).length - there.filter((x) => x === a).length,
  )[0];
  const rate = (of: typeof answers, which: 'clear' | 'noised') =>
    mean(of.map((one) => Number(one[which] === token)));
  const sides = {
    present: answers.filter(({ label }) => label),
    absent: answers.filter(({ label }) => !label),
  };
  return {
    n: answers.length,
    ...Object.fromEntries(
      Object.entries(sides).map(([name, of]) => [
        name,
        { clear: rate(of, 'clear'), noised: rate(of, 'noised') },
      ]),
    ),
    same: mean(answers.map(({ clear, noised }) => Number(clear === noised))),
  };
}

/** Rollbacks and rows of OPERA, as chosen and under the paper's formula. */
export async function searches(model: Model, prompts: readonly Prompt[], params: Params) {
  const of = async (settings: Params) => {
    const { spec } = opera(settings);
    const traces = [];
    for (const { inputs } of prompts) {
      const options = { ...inputs, max_new_tokens: 60 };
      traces.push((await operaGenerate(spec as never, model as unknown as SearchModel, options)).trace);
    }
    return {
      rollbacks: mean(traces.map(({ rollbacks }) => rollbacks.length)),
      steps: mean(traces.map(({ rows }) => rows.length)),
    };
  };
  return { chosen: await of(params), paper: await of({ semantics: 'paper', sigma: 10 }) };
}
