/**
 * Perplexity of a long text under bounded caches, one token a call, by position: stories of the testbed's world one after another, twice as
 * long as the context of the model that reads them. What it costs to keep little, and that it does not grow with the text.
 */
import { AutoModelForCausalLM, AutoTokenizer, Tensor } from '@huggingface/transformers';
import { builtinTasks } from '../../eval/tasks/builtin/index.ts';
import { loadItems } from '../../eval/tasks/items.ts';
import { type AttunedModel, from_pretrained, type TransformersModel } from '../../hooks/model/index.ts';
import { keepCache } from '../../interventions/index.ts';
import type { Case } from '../suite.ts';

type Outputs = Record<string, Tensor>;
type Model = TransformersModel & AttunedModel & ((inputs: object) => Promise<Outputs>);
type Given = Parameters<typeof keepCache>[0];

const FOLDER = 'testbed/models/worlds-lm';
const TOKENS = 1024;
/** Positions that are told apart. */
const BIN = 256;

const int64 = (values: readonly number[]) =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

/** Token ids of stories, one after another. */
async function stream(): Promise<number[]> {
  const tokenizer = await AutoTokenizer.from_pretrained(FOLDER);
  const { items } = await loadItems(builtinTasks.get('worlds-story')!, {
    root: '',
    split: 'test',
    limit: 40,
  });
  const text = items.map((item) => (item as unknown as { text: string }).text).join('\n');
  return tokenizer.encode(text).slice(0, TOKENS + 1);
}

/** Nats of each token but the first. */
async function losses(model: Model, ids: readonly number[]): Promise<number[]> {
  const found: number[] = [];
  let past: Outputs | undefined;
  for (let t = 0; t + 1 < ids.length; t++) {
    const outputs = await model({
      input_ids: int64([ids[t]!]),
      attention_mask: int64(new Array<number>(t + 1).fill(1)),
      ...(past && { past_key_values: past }),
    });
    const row = outputs.logits!.data as Float32Array;
    let top = Number.NEGATIVE_INFINITY;
    for (const x of row) top = Math.max(top, x);
    let sum = 0;
    for (const x of row) sum += Math.exp(x - top);
    found.push(top + Math.log(sum) - row[ids[t + 1]!]!);
    const presents = Object.entries(outputs).filter(([name]) => name.startsWith('present'));
    past = Object.fromEntries(
      presents.map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
  }
  return found;
}

const perplexity = (nats: readonly number[]) =>
  Math.exp(nats.reduce((sum, one) => sum + one, 0) / nats.length);

export function perplexityCase(name: string, given: Given | undefined): Case {
  return {
    case: `worlds-lm, perplexity, ${name}`,
    run: async () => {
      const model = (await from_pretrained(AutoModelForCausalLM as never, FOLDER, {})) as Model;
      try {
        const ids = await stream();
        // The untouched model reads as far as its context goes.
        const read = given ? ids : ids.slice(0, 512);
        const view = model.with(given ? [keepCache(given)] : []) as Model;
        const nats = await losses(view, read);
        const bins = Array.from({ length: Math.ceil(nats.length / BIN) }, (_, i) =>
          perplexity(nats.slice(i * BIN, (i + 1) * BIN)).toFixed(2),
        );
        const held = view.attune.request.cache?.kept.dims[3];
        const note = `by ${BIN} tokens ${bins.join(', ')}; ${held === undefined ? 'every key' : `${held} keys at the end`}`;
        return { value: perplexity(nats.slice(0, 511)), note };
      } finally {
        await model.dispose();
      }
    },
  };
}
