/**
 * # Find out which heads to touch
 *
 * What do the heads of a model do, and which setting of ZeroTuning suits a task? The model is the testbed's small language
 * model, the task its documents: five of them, and a question about one. Run it:
 *
 *     npx tsx examples/05-calibrate.ts
 */
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer } from '@huggingface/transformers';
import { type CalibrationItem, calibrate, headStatistics, isPunctuation } from '../calibration/index.ts';
import { textItems } from '../eval/data/worlds/text/index.ts';
import { attune, makeProfile } from '../index.ts';

const folder = fileURLToPath(new URL('../testbed/models/worlds-lm', import.meta.url));
const tokenizer = await AutoTokenizer.from_pretrained(folder);
await using model = await attune(AutoModelForCausalLM, folder, { dtype: 'fp32' });

// An item: prompts with what may follow them, in tokens, and how right the model is by its log-likelihoods.
const encode = (text: string, special = false) => tokenizer.encode(text, { add_special_tokens: special });
const items = textItems('documents', 'calibration', 30).map(
  ({ id, cluster, prompt, choices, gold }): CalibrationItem => ({
    id,
    cluster,
    dataset: 'documents',
    requests: choices.map((choice) => ({ context: encode(prompt, true), continuation: encode(choice) })),
    score: (lls) => (lls.indexOf(Math.max(...lls)) === gold ? 1 : 0),
  }),
);

// Which heads look at the first token, and how widely do they look?
const sequences = items.map(({ requests }) => requests[0]!.context.slice(0, 64)).slice(0, 8);
const { sink, entropy } = await headStatistics(model.attune.facts, ['sink', 'entropy'], {
  sequences,
  isPunctuation: (token) => isPunctuation(tokenizer.decode([token])),
  repeated: [],
  answers: [],
  texts: [],
});
for (const [layer, row] of sink!.entries()) {
  const cells = row.map((value, head) => `${value.toFixed(2)} (${entropy![layer]![head]!.toFixed(1)} nats)`);
  console.log(`layer ${layer}: to the first token ${cells.join(', ')}`);
}

// Search on 15 items, report on 15 others: enough to show how, not to choose by. The search needs no answers if told to go by entropy.
const { interventions, search, heldOut } = await calibrate(
  model.attune.facts,
  items,
  { intervention: 'zerotuning', objective: 'entropy', options: { up: [2], down: [0.5] } },
  { samples: 15, heldOut: 15, seed: 0 },
);
console.log(`${search.settings} settings on ${search.samples} items: ${JSON.stringify(interventions[0])}`);
console.log(
  `held out: entropy ${heldOut.entropy.baseline.toFixed(3)} → ${heldOut.entropy.calibrated.toFixed(3)}`,
);

// A profile ties the choice to this model; another one refuses it.
const profile = await makeProfile(model, interventions, { search, heldOut });
await using calibrated = await attune(AutoModelForCausalLM, folder, { dtype: 'fp32', profile });
console.log(
  `profile ${profile.hash!.slice(0, 8)} in force: ${calibrated.attune.interventions.length} intervention`,
);
