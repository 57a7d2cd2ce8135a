/**
 * The tokenizer in both directions, through transformers.js. Hugging Face tokenizers differ from llama2.c's run.c,
 * which the golden file follows, in two documented corners (`tokenizer`, `detokenizer` in its header):
 *
 * - a special token spelled out in a text is that token, where run.c reads characters: such texts are encoded by
 *   the same tokenizer without its list of special tokens;
 * - one space is dropped at the very start of a decoded text, and not after each BOS: the expected text is spelled
 *   from the pieces of the vocabulary by both rules, run.c's against the file, Hugging Face's against the decoder.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PreTrainedTokenizer } from '@huggingface/transformers';
import { z } from 'zod';
import { defineFamily } from '../family.ts';
import { ids } from '../golden.ts';
import { differences } from '../measure.ts';
import type { Subject } from '../subject.ts';

export const tokenizer = defineFamily({
  name: 'tokenizer',
  schema: z.array(z.object({ text: z.string(), ids, decoded: z.string() })),
  async *compare(cases, subject) {
    const files = tokenizerFiles(subject.folder);
    const literal = new PreTrainedTokenizer({ ...files.tokenizer, added_tokens: [] }, files.config);
    for (const { text, ids, decoded } of cases) {
      const special = files.tokenizer.added_tokens.some(({ content }) => text.includes(content));
      const encoded = (special ? literal : subject.tokenizer).encode(text);
      yield exact(`ids of ${JSON.stringify(text)}`, encoded, ids);
      const back = subject.tokenizer.decode([...ids], { skip_special_tokens: true });
      yield exact(`text of ${JSON.stringify(text)}`, [...back], [...decoded]);
    }
    for (const [name, { text, ids }] of Object.entries(subject.golden.prompts)) {
      yield exact(`prompt ${name}`, subject.tokenizer.encode(text), ids);
    }
  },
});

export const detokenizer = defineFamily({
  name: 'detokenizer',
  schema: z.array(z.object({ ids, bytes_hex: z.string(), text: z.string() })),
  async *compare(cases, subject) {
    const pieces = piecesOf(subject);
    for (const { ids, bytes_hex, text } of cases) {
      const spelled = pieces.spell(ids, 'after each BOS');
      yield exact(`bytes of ${ids}`, [...spelled], [...Buffer.from(bytes_hex, 'hex')]);
      yield exact(`text of ${ids}`, [...new TextDecoder().decode(spelled)], [...text]);
      const decoded = subject.tokenizer.decode([...ids], { skip_special_tokens: true });
      const expected = new TextDecoder().decode(pieces.spell(ids, 'at the start'));
      yield exact(`transformers.js text of ${ids}`, [...decoded], [...expected]);
    }
  },
});

function exact<T>(name: string, actual: readonly T[], expected: readonly T[]) {
  return { case: name, maxAbsError: differences(actual, expected), tolerance: 0 };
}

interface TokenizerJson {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
}

function tokenizerFiles(folder: string) {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  return {
    tokenizer: read('tokenizer.json') as TokenizerJson,
    config: read('tokenizer_config.json') as object,
  };
}

/** Bytes of token ids from a vocabulary with byte tokens <0xNN> and U+2581 for the space. */
function piecesOf({ folder, golden }: Subject) {
  const { added_tokens, model } = tokenizerFiles(folder).tokenizer;
  const special = new Set(added_tokens.map(({ id }) => id));
  const pieces = new Map(Object.entries(model.vocab).map(([piece, id]) => [id, piece]));
  const bytesOf = (id: number): Uint8Array => {
    const piece = special.has(id) ? '' : (pieces.get(id) ?? '');
    const byte = /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1];
    return byte ? Uint8Array.of(Number.parseInt(byte, 16)) : Buffer.from(piece.replaceAll('\u2581', ' '));
  };
  return {
    spell(ids: readonly number[], dropSpace: 'after each BOS' | 'at the start'): Uint8Array {
      let started = false;
      const parts = ids.map((id, i) => {
        const bytes = bytesOf(id);
        const drops = dropSpace === 'at the start' ? !started : ids[i - 1] === golden.header.model.bos;
        started ||= bytes.length > 0;
        return drops && bytes[0] === 0x20 ? bytes.subarray(1) : bytes;
      });
      return Buffer.concat(parts);
    },
  };
}
