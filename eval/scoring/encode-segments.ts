/**
 * A prompt in segments as tokens, each piece encoded alone and special tokens before the first only, as PINE's own code
 * does: a document is then the same tokens wherever it stands, and no token lies across a border. It is done so in every
 * setting, the untouched one included, so that settings are compared on the same tokens.
 */
import { AttuneError } from '../../errors.ts';
import type { Segments } from '../tasks/item.ts';
import type { LanguageModel, TokenSpan } from './language-model.ts';

export interface EncodedSegments {
  tokens: number[];
  /** One span for each part. */
  documents: TokenSpan[];
  /** First token of the suffix. */
  suffixFrom: number;
}

/** @throws AttuneError SCORE_EMPTY for a part without a token. */
export function encodeSegments(
  model: Pick<LanguageModel, 'encode'>,
  { prefix, parts, suffix }: Segments,
): EncodedSegments {
  const tokens = [...model.encode(prefix)];
  const documents = parts.map((part): TokenSpan => {
    const from = tokens.length;
    tokens.push(...model.encode(part, { specialTokens: false }));
    if (tokens.length > from) return [from, tokens.length];
    throw new AttuneError('SCORE_EMPTY', {
      found: `no token for the part ${JSON.stringify(part.slice(0, 80))}`,
      expected: 'at least one',
    });
  });
  const suffixFrom = tokens.length;
  tokens.push(...model.encode(suffix, { specialTokens: false }));
  return { tokens, documents, suffixFrom };
}
