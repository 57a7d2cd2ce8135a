/** Models of the playground: the testbed's, from the page's own site, or one from the Hub or from a folder of the visitor's. */
import {
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
  AutoProcessor,
  AutoTokenizer,
  env,
  type PreTrainedTokenizer,
  type Processor,
} from '@huggingface/transformers';
import { attune } from '../../index.ts';

export interface Wish {
  readonly id: string;
  readonly dtype: string;
  /** Reads pictures. */
  readonly sees: boolean;
  /** Of the page's own site; else of the Hub, or in the files the visitor picked. */
  readonly own: boolean;
}

export const OWN: Readonly<Record<'text' | 'picture', Wish>> = {
  text: { id: 'worlds-lm', dtype: 'fp32', sees: false, own: true },
  picture: { id: 'worlds-vlm', dtype: 'fp32', sees: true, own: true },
};

export type Model = Awaited<ReturnType<typeof load>>;

const here = (path: string): string => new URL(path, document.baseURI).href;

/** transformers.js on this page: its files, and the site's own models before those of the Hub. */
function settle(own: boolean): void {
  // A path: transformers.js takes an address with a host for one that is not local.
  env.localModelPath = new URL(here('models/')).pathname;
  env.allowLocalModels = own;
  env.allowRemoteModels = !own;
  env.useBrowserCache = typeof caches !== 'undefined';
  env.useWasmCache = false;
  const file = (ending: string) => here(`ort/ort-wasm-simd-threaded.asyncify.${ending}`);
  env.backends.onnx.wasm!.wasmPaths = { mjs: file('mjs'), wasm: file('wasm') };
}

/** @param progress is given a share of all bytes, where it is known */
export async function load(wish: Wish, progress: (share: number) => void) {
  settle(wish.own);
  const options = {
    dtype: wish.dtype as 'fp32',
    device: 'wasm',
    progress_callback: ({ status, progress: percent }: { status?: string; progress?: number }) => {
      if (status === 'progress_total' && percent !== undefined) progress(percent / 100);
    },
  } as const;
  const processor = wish.sees ? await AutoProcessor.from_pretrained(wish.id) : undefined;
  const tokenizer = processor?.tokenizer ?? (await AutoTokenizer.from_pretrained(wish.id));
  const model = wish.sees
    ? await attune(AutoModelForImageTextToText, wish.id, options)
    : await attune(AutoModelForCausalLM, wish.id, options);
  const { decoder, config } = model.attune.facts;
  return {
    wish,
    model: model as Runnable & typeof model,
    tokenizer: tokenizer as PreTrainedTokenizer,
    processor: processor as Processor | undefined,
    imageToken: (config.image_token_id ?? config.image_token_index) as number | undefined,
    layers: decoder.length,
    heads: Math.max(...decoder.map(({ numHeads }) => numHeads)),
  };
}

/** What is called; transformers.js types both by family. */
interface Runnable {
  generate(options: object): Promise<unknown>;
  forward(inputs: object): Promise<unknown>;
}
