/**
 * The byte-level BPE tokenizer in a GGUF file of SmolLM2, as the files that transformers.js reads. llama.cpp names the way
 * words are cut (`tokenizer.ggml.pre` = 'smollm') and does not store it: digits one by one, then ByteLevel.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import type { GgufFile } from './gguf-file.ts';

const id = z.number().int().nonnegative();

const header = z.object({
  'tokenizer.ggml.model': z.literal('gpt2'),
  'tokenizer.ggml.pre': z.literal('smollm'),
  'tokenizer.ggml.add_bos_token': z.literal(false),
  'tokenizer.ggml.tokens': z.array(z.string()),
  'tokenizer.ggml.token_type': z.array(z.number()),
  'tokenizer.ggml.merges': z.array(z.string()),
  'tokenizer.ggml.bos_token_id': id,
  'tokenizer.ggml.eos_token_id': id,
  'tokenizer.ggml.unknown_token_id': id,
  'tokenizer.ggml.padding_token_id': id,
  'tokenizer.chat_template': z.string(),
});

/** Kinds of `token_type` that are never the text of a prompt: control and user-defined. */
const SPECIAL = new Set([3, 4]);

export interface Tokenizer {
  /** tokenizer.json and the others, by name. */
  readonly files: Record<string, unknown>;
  readonly special: { bos_token_id: number; eos_token_id: number; pad_token_id: number };
}

/** @throws AttuneError CHECKPOINT_FORMAT for another kind of tokenizer */
export function tokenizerOf(file: GgufFile): Tokenizer {
  const { data, error } = header.safeParse(file.metadata);
  if (!data) {
    throw new AttuneError('CHECKPOINT_FORMAT', {
      at: file.path,
      found: z.prettifyError(error),
      expected: "SmolLM2's byte-level BPE",
    });
  }
  const tokens = data['tokenizer.ggml.tokens'];
  const added = data['tokenizer.ggml.token_type'].flatMap((kind, id) =>
    SPECIAL.has(kind)
      ? [
          {
            id,
            content: tokens[id]!,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
          },
        ]
      : [],
  );
  const special = {
    bos_token_id: data['tokenizer.ggml.bos_token_id'],
    eos_token_id: data['tokenizer.ggml.eos_token_id'],
    pad_token_id: data['tokenizer.ggml.padding_token_id'],
  };
  const names = {
    bos_token: tokens[special.bos_token_id],
    eos_token: tokens[special.eos_token_id],
    unk_token: tokens[data['tokenizer.ggml.unknown_token_id']],
    pad_token: tokens[special.pad_token_id],
  };
  return {
    special,
    files: {
      'tokenizer.json': tokenizerJson(tokens, data['tokenizer.ggml.merges'], added),
      'tokenizer_config.json': {
        ...names,
        add_prefix_space: false,
        tokenizer_class: 'GPT2Tokenizer',
        model_max_length: file.metadata['llama.context_length'],
        clean_up_tokenization_spaces: false,
        added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
        chat_template: data['tokenizer.chat_template'],
      },
      'special_tokens_map.json': names,
    },
  };
}

function tokenizerJson(tokens: readonly string[], merges: readonly string[], added: unknown[]): unknown {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((merge) => merge.split(' ')),
    },
  };
}
