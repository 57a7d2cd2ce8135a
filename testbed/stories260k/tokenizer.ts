/**
 * tok512.bin, the vocabulary of a SentencePiece BPE model as llama2.c stores it, as a tokenizer.json.
 * Format: int32 longest piece, then for every id float32 score, int32 length, bytes.
 */
import { readFileSync } from 'node:fs';

const SPACE = '\u2581';
const SPECIAL = ['<unk>', '<s>', '</s>'];
const BYTES = 256;

/** Pieces in id order: specials, byte tokens <0x00>…<0xFF>, then text with U+2581 for the space. */
export function readPieces(path: string): string[] {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces: string[] = [];
  for (let at = 4; at < bytes.length; ) {
    const length = view.getInt32(at + 4, true);
    const text = bytes.toString('utf8', at + 8, at + 8 + length);
    const id = pieces.length;
    pieces.push(id < SPECIAL.length ? SPECIAL[id]! : text.replaceAll(' ', SPACE));
    at += 8 + length;
  }
  return pieces;
}

/** The files transformers and transformers.js read, by name. */
export function tokenizerFiles(pieces: readonly string[]): Record<string, unknown> {
  return {
    'tokenizer.json': tokenizerJson(pieces),
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: '<s>',
      eos_token: '</s>',
      unk_token: '<unk>',
      pad_token: '<unk>',
      padding_side: 'left',
      model_max_length: 512,
      clean_up_tokenization_spaces: false,
    },
  };
}

function tokenizerJson(pieces: readonly string[]): unknown {
  const special = (content: string, id: number) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map(special),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: SPACE },
        { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [
        { SpecialToken: { id: '<s>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '<s>', type_id: 1 } },
        { Sequence: { id: 'B', type_id: 1 } },
      ],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: mergeRules(pieces),
    },
  };
}

/** For every text piece in id order, which is the order of scores, all splits into two text pieces. */
function mergeRules(pieces: readonly string[]): [string, string][] {
  const texts = pieces.slice(SPECIAL.length + BYTES);
  const known = new Set(texts);
  return texts.flatMap((piece) => {
    const characters = [...piece];
    return characters
      .slice(1)
      .map((_, i): [string, string] => [
        characters.slice(0, i + 1).join(''),
        characters.slice(i + 1).join(''),
      ])
      .filter(([left, right]) => known.has(left) && known.has(right));
  });
}
