/** What a search reads of the options that `generate` was called with, and which of them it cannot honour. */
import { AttuneError } from '../../../errors.ts';
import type { ModelInputs, ModelTensor, SearchModel } from './decoding.ts';
import type { BeamRules } from './hypotheses.ts';

export interface BeamRequest extends BeamRules {
  /** Tensors of the prompt: input_ids [1,P], attention_mask, pixel_values, … */
  readonly prompt: ModelInputs & { readonly input_ids: ModelTensor };
  readonly promptIds: readonly number[];
  readonly asDictionary: boolean;
}

/** Options that change which token is chosen, with the value that changes nothing. */
const NEUTRAL: Readonly<Record<string, unknown>> = {
  do_sample: false,
  repetition_penalty: 1,
  no_repeat_ngram_size: 0,
  encoder_no_repeat_ngram_size: 0,
  bad_words_ids: null,
  force_words_ids: null,
  min_length: 0,
  min_new_tokens: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  suppress_tokens: null,
  begin_suppress_tokens: null,
  guidance_scale: null,
  num_beam_groups: 1,
  num_return_sequences: 1,
  logits_processor: null,
  stopping_criteria: null,
  streamer: null,
};

/**
 * @param search name of the intervention, for messages
 * @throws AttuneError SEARCH_OPTION for what a search cannot honour, SEARCH_BATCH for more than one prompt
 */
export function beamRequest(
  search: string,
  beams: number,
  model: SearchModel,
  options: Readonly<Record<string, unknown>>,
): BeamRequest {
  const given = { ...model.generation_config, ...(options.generation_config as object), ...options };
  for (const [name, neutral] of Object.entries(NEUTRAL)) {
    const value = given[name] ?? neutral;
    if (value !== neutral && !isEmpty(value)) throw unsupported(search, name, value);
  }
  if (options.num_beams !== undefined && options.num_beams !== beams) {
    throw new AttuneError('SEARCH_OPTION', {
      at: search,
      found: `num_beams ${options.num_beams}`,
      expected: `${beams}, as the intervention says`,
    });
  }
  const prompt = promptOf(search, options);
  const P = prompt.input_ids.dims[1]!;
  const maxNewTokens = (given.max_new_tokens ?? (given.max_length ?? 20) - P) as number;
  if (!(maxNewTokens >= 1)) {
    throw new AttuneError('SEARCH_OPTION', {
      at: search,
      found: `${maxNewTokens} new tokens`,
      expected: 'at least 1',
    });
  }
  const eos = [
    options.eos_token_id === undefined
      ? (given.eos_token_id ?? model.config.eos_token_id)
      : options.eos_token_id,
  ];
  return {
    beams,
    prompt,
    promptIds: Array.from(prompt.input_ids.data as BigInt64Array, Number),
    maxNewTokens,
    lengthPenalty: (given.length_penalty ?? 1) as number,
    earlyStopping: (given.early_stopping ?? false) as boolean | 'never',
    eos: new Set(eos.flat().filter((id): id is number => typeof id === 'number')),
    asDictionary: given.return_dict_in_generate === true,
  };
}

const isEmpty = (value: unknown): boolean =>
  (Array.isArray(value) && value.length === 0) || (value as { length?: number } | null)?.length === 0;

function promptOf(search: string, options: Readonly<Record<string, unknown>>): BeamRequest['prompt'] {
  const tensors = Object.fromEntries(
    Object.entries(options).filter(([, value]) => Array.isArray((value as ModelTensor | null)?.dims)),
  );
  const input_ids = (tensors.input_ids ?? tensors.inputs) as ModelTensor | undefined;
  if (!input_ids) {
    throw new AttuneError('SEARCH_OPTION', {
      at: search,
      found: 'no input_ids',
      expected: 'a prompt as token ids',
    });
  }
  if (input_ids.dims[0] !== 1) {
    throw new AttuneError('SEARCH_BATCH', {
      at: search,
      found: `${input_ids.dims[0]} prompts`,
      expected: 'one: the rows of the batch are its beams',
      hint: 'Call generate once for each prompt.',
    });
  }
  if (options.past_key_values !== undefined) throw unsupported(search, 'past_key_values', 'a cache');
  const { inputs: _, ...rest } = tensors;
  return { ...rest, input_ids };
}

const unsupported = (search: string, name: string, value: unknown): AttuneError =>
  new AttuneError('SEARCH_OPTION', {
    at: search,
    found: `${name} ${typeof value === 'object' || typeof value === 'function' ? 'given' : value}`,
    expected: 'no option that chooses tokens otherwise',
    hint: 'Leave the option out, or generate without the search.',
  });
