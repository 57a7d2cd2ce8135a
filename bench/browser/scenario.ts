/** What is run in Node and in a browser, whose tokens have to be equal. Bundled as it stands: nothing in here knows where it runs. */
import {
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
  AutoProcessor,
  AutoTokenizer,
  RawImage,
  type Tensor,
} from '@huggingface/transformers';
import { pictureItems, render } from '../../eval/data/worlds/pictures/index.ts';
import {
  type AttunedModel,
  act,
  attune,
  type Intervention,
  pine,
  segmentPrompt,
  vhr,
  visualRedistribution,
  zeroTuning,
} from '../../index.ts';

export interface Place {
  /** Ids or folders. */
  readonly languageModel: string;
  readonly visionModel: string;
  readonly device?: 'wasm' | 'webgpu';
  /** Default 'fp32'. */
  readonly modelFile?: string;
}

/** Tokens by what was in force. */
export type Tokens = Readonly<Record<string, readonly number[]>>;

export const PROMPT = 'Documents:\n- Nora Holt lives in Marl.\n- Nora Reed lives in Tarn.\n';
/** Nothing ends a generation early: −1 is no token. */
const GENERATION = { max_new_tokens: 16, do_sample: false, eos_token_id: -1 } as const;

const PIECES = {
  prefix: 'Documents:\n',
  documents: [
    '- Nora Holt lives in Marl.\n',
    '- Nora Reed lives in Tarn.\n',
    '- Rufus Pike lives in Osby.\n',
  ],
  suffix: 'Question: In which town does Nora Reed live?\nAnswer:',
};

/**
 * @param only names of settings, where not all are wanted
 * @param count tokens of each
 */
export async function languageTokens(
  { languageModel, device, modelFile }: Place,
  only?: readonly string[],
  count?: number,
): Promise<Tokens> {
  const tokenizer = await AutoTokenizer.from_pretrained(languageModel);
  const model = await attune(AutoModelForCausalLM, languageModel, {
    dtype: 'fp32',
    ...(device && { device }),
    ...(modelFile && { model_file_name: modelFile }),
  });
  const inputs = tokenizer(PROMPT);
  const { documents, ...pieces } = segmentPrompt(tokenizer, PIECES);
  const settings: Record<string, readonly [inputs: object, interventions: readonly Intervention[]]> = {
    baseline: [inputs, []],
    ZeroTuning: [inputs, [zeroTuning({ gamma: 6 })]],
    ACT: [inputs, [act({ heads: 'all', threshold: { tau: 0.05 }, beta: 0 })]],
    'baseline on documents': [pieces, []],
    PINE: [pieces, [pine({ documents })]],
    'baseline again': [inputs, []],
  };
  const wanted = Object.entries(settings).filter(([name]) => only?.includes(name) ?? true);
  const tokens = await tokensUnder(model, Object.fromEntries(wanted), count);
  const { cache } = await model.runWithCache(inputs, 'blocks.*.attn.hook_pattern');
  const pattern = cache.get('blocks.0.attn.hook_pattern')!;
  await model.dispose();
  return { ...tokens, 'shape of a pattern': [...pattern.dims] };
}

/** Of transformers.js alone: what a device can do before attune is asked. */
export async function plainTokens({ languageModel, device }: Place, count: number): Promise<number[]> {
  const tokenizer = await AutoTokenizer.from_pretrained(languageModel);
  const model = await AutoModelForCausalLM.from_pretrained(languageModel, {
    dtype: 'fp32',
    ...(device && { device }),
  });
  const options = { ...(tokenizer(PROMPT) as object), ...GENERATION, max_new_tokens: count };
  const output = (await model.generate(options as never)) as unknown as Tensor;
  await model.dispose();
  return (output.tolist() as bigint[][])[0]!.slice(-count).map(Number);
}

export async function visionTokens({ visionModel, device }: Place): Promise<Tokens> {
  const processor = await AutoProcessor.from_pretrained(visionModel);
  const model = await attune(AutoModelForImageTextToText, visionModel, {
    dtype: 'fp32',
    ...(device && { device }),
  });
  const [{ prompt, scene } = never()] = pictureItems('caption', 'calibration', 1, 0);
  const { data, width, height } = render(scene);
  const text = processor.apply_chat_template([{ role: 'user', content: `<image>\n${prompt}` }], {
    add_generation_prompt: true,
  }) as string;
  const picture = new RawImage(Uint8ClampedArray.from(data), width, height, 3);
  const inputs = (await processor(picture, text, { add_special_tokens: false })) as object;
  const tokens = await tokensUnder(model, {
    'baseline on a picture': [inputs, []],
    VAR: [inputs, [visualRedistribution({ dimensions: [50], tau: 3.13 })]],
    VHR: [inputs, [vhr({ alpha: 1.5 })]],
  });
  await model.dispose();
  return tokens;
}

type Generating = AttunedModel & { generate(options: object): Promise<unknown> };

async function tokensUnder(
  model: Generating,
  settings: Readonly<Record<string, readonly [inputs: object, interventions: readonly Intervention[]]>>,
  max_new_tokens: number = GENERATION.max_new_tokens,
): Promise<Tokens> {
  const tokens: Record<string, number[]> = {};
  for (const [name, [inputs, interventions]] of Object.entries(settings)) {
    const output = (await model.generate({
      ...inputs,
      ...GENERATION,
      max_new_tokens,
      interventions,
    })) as Tensor;
    tokens[name] = (output.tolist() as bigint[][])[0]!.slice(-max_new_tokens).map(Number);
  }
  return tokens;
}

/** Milliseconds for each token after the first, baseline and intervened in turns, from one model in one place. */
export async function decodeTimes(
  { languageModel, device }: Place,
  pairs: number,
): Promise<{ readonly baseline: readonly number[]; readonly intervened: readonly number[] }> {
  const tokenizer = await AutoTokenizer.from_pretrained(languageModel);
  const interventions = [zeroTuning({ gamma: 1.4 })];
  const model = await attune(AutoModelForCausalLM, languageModel, {
    dtype: 'fp32',
    ...(device && { device }),
  });
  const inputs = tokenizer(PROMPT) as object;
  const time = async (under: readonly Intervention[], max_new_tokens: number): Promise<number> => {
    const begun = performance.now();
    await model.generate({ ...inputs, ...GENERATION, max_new_tokens, interventions: under });
    return performance.now() - begun;
  };
  const perToken = async (under: readonly Intervention[]) =>
    ((await time(under, 65)) - (await time(under, 1))) / 64;
  for (const under of [interventions, []]) await perToken(under);
  const times = { baseline: [] as number[], intervened: [] as number[] };
  for (let pair = 0; pair < pairs; pair++) {
    const both = [() => perToken([]), () => perToken(interventions)] as const;
    const order = pair % 2 === 0 ? [0, 1] : [1, 0];
    for (const side of order) (side === 0 ? times.baseline : times.intervened).push(await both[side]!());
  }
  await model.dispose();
  return times;
}

function never(): never {
  throw new Error('no picture');
}
