/** The model of the playground: the testbed's, from the page's own site. */
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  env,
  type Tensor,
  TextStreamer,
} from '@huggingface/transformers';
import {
  type LikelyToken,
  likeliest,
  packedPattern,
  type TokenView,
} from '../../eval/reports/token-view/data.ts';
import { attune, type Intervention } from '../../index.ts';

const ID = 'worlds-lm';

export type Model = Awaited<ReturnType<typeof loadModel>>;

export async function loadModel() {
  const here = (path: string) => new URL(path, document.baseURI).href;
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = here('models/');
  env.useBrowserCache = false;
  env.useWasmCache = false;
  const file = (ending: string) => here(`ort/ort-wasm-simd-threaded.asyncify.${ending}`);
  env.backends.onnx.wasm!.wasmPaths = { mjs: file('mjs'), wasm: file('wasm') };
  const tokenizer = await AutoTokenizer.from_pretrained(ID);
  const model = await attune(AutoModelForCausalLM, ID, { dtype: 'fp32', device: 'wasm' });
  return { tokenizer, model };
}

/** @param write is given the text piece by piece */
export async function generate(
  { model, tokenizer }: Model,
  prompt: string,
  interventions: readonly Intervention[],
  write: (piece: string) => void,
): Promise<void> {
  const streamer = new TextStreamer(tokenizer, { skip_prompt: true, callback_function: write });
  await model.generate({
    ...tokenizer(prompt),
    max_new_tokens: 24,
    do_sample: false,
    streamer,
    interventions,
  });
}

/** Attention over the prompt and what comes next, without and with interventions. */
export async function look(
  { model, tokenizer }: Model,
  prompt: string,
  interventions: readonly Intervention[],
): Promise<TokenView> {
  const inputs = tokenizer(prompt) as { input_ids: Tensor };
  const ids = Array.from(inputs.input_ids.data as BigInt64Array, Number);
  const { decoder } = model.attune.facts;
  const heads = Math.max(...decoder.map(({ numHeads }) => numHeads));
  const under = async (label: string, active: readonly Intervention[]) => {
    const { output, cache } = await model.with(active).runWithCache(inputs, 'blocks.*.attn.hook_pattern');
    const { dims, data } = output.logits as { dims: [number, number, number]; data: Float32Array };
    const last = data.subarray((dims[1] - 1) * dims[2], dims[1] * dims[2]);
    const next: LikelyToken[] = likeliest(last, (token) => tokenizer.decode([token]));
    return { label, pattern: packedPattern([...cache.values()], heads), next };
  };
  const settings = [await under('baseline', [])];
  for (const one of interventions) settings.push(await under(one.intervention, [one]));
  return {
    title: ID,
    tokens: ids.map((id) => tokenizer.decode([id])),
    layers: decoder.length,
    heads,
    settings,
  };
}
