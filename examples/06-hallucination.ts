/**
 * # Say only what is there
 *
 * The testbed's small vision-language model has learned which things usually stand together, and names the companion also where it is
 * not. Interventions on attention make it look again; whether they help is for `attune eval` to say, on hundreds of pictures. Here is what
 * they do to a few. Run it:
 *
 *     npx tsx examples/06-hallucination.ts
 */
import { fileURLToPath } from 'node:url';
import { AutoModelForImageTextToText, AutoProcessor, RawImage, type Tensor } from '@huggingface/transformers';
import { findSinks, promptStreams } from '../calibration/index.ts';
import { kindsOf, mentionsOf, pictureItems, render } from '../eval/data/worlds/pictures/index.ts';
import {
  attune,
  type Intervention,
  imbalancedAttention,
  pai,
  vcd,
  vhr,
  visualRedistribution,
} from '../index.ts';

const folder = fileURLToPath(new URL('../testbed/models/worlds-vlm', import.meta.url));
const processor = await AutoProcessor.from_pretrained(folder);
await using model = await attune(AutoModelForImageTextToText, folder, { dtype: 'fp32' });

const items = pictureItems('caption', 'calibration', 3, 0);
const prompts = await Promise.all(
  items.map(async ({ prompt, scene }) => {
    const { data, width, height } = render(scene);
    const content = [{ type: 'image' }, { type: 'text', text: prompt }];
    const text = processor.apply_chat_template([{ role: 'user', content }], {
      add_generation_prompt: true,
    }) as string;
    const picture = new RawImage(Uint8ClampedArray.from(data), width, height, 3);
    return processor(picture, text, { add_special_tokens: false }) as Promise<{ input_ids: Tensor }>;
  }),
);

// VAR needs two things of the language model, which calibration finds: dimensions, and the threshold of a sink.
const streams = [];
for (const inputs of prompts) streams.push(await promptStreams(model, inputs));
const { dimensions, tau, tauFrom, massive } = findSinks(streams);
console.log(
  `sinks: dimensions ${dimensions.join(', ')}, τ = ${tau} (${tauFrom}), massive activations: ${massive}`,
);

const settings: Record<string, Intervention[]> = {
  untouched: [],
  VAR: [visualRedistribution({ dimensions: [...dimensions], tau })],
  VHR: [vhr({ alpha: 1.5 })],
  'imbalanced attention': [imbalancedAttention({ alpha: 0.3, beta: 0.2 })],
  PAI: [pai({ alpha: 0.2 })],
  VCD: [vcd({})],
};

for (const [name, interventions] of Object.entries(settings)) {
  let [named, imagined] = [0, 0];
  let text = '';
  for (const [i, inputs] of prompts.entries()) {
    const options = { max_new_tokens: 48, do_sample: false, interventions };
    const output = await model.generate({ ...inputs, ...options });
    const written = (output.tolist() as bigint[][])[0]!.slice(inputs.input_ids.dims[1]);
    text = processor.tokenizer!.decode(written, { skip_special_tokens: true });
    const there = new Set<string>(kindsOf(items[i]!.scene));
    const mentions = [...new Set<string>(mentionsOf(text))];
    named += mentions.length;
    imagined += mentions.filter((kind) => !there.has(kind)).length;
  }
  console.log(`${name}: ${imagined} of ${named} things named are not there; the last: ${text.trim()}`);
}

// What VHR saw in the last picture: how far each head's output moves without it.
await model({ ...prompts[0]!, interventions: [vhr({})] });
const vhd = model.attune.reports.get('vhr.vhd') as { dims: number[]; data: Float32Array };
const [, layers, heads] = vhd.dims as [number, number, number];
for (let layer = 0; layer < layers; layer++) {
  const row = Array.from(vhd.data.subarray(layer * heads, (layer + 1) * heads), (x) => x.toFixed(2));
  console.log(`VHD, layer ${layer}: ${row.join(' ')}`);
}
