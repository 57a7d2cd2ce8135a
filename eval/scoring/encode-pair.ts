/**
 * A context and a continuation as tokens, by the rule of lm-evaluation-harness 0.4.13 (`TemplateLM._encode_pair` and
 * `loglikelihood`): the continuation's tokens are those of the whole text after as many tokens as the context has alone.
 */
import { AttuneError } from '../../errors.ts';
import type { Segments } from '../tasks/item.ts';
import { encodeSegments } from './encode-segments.ts';
import type { LanguageModel, TokenRequest } from './language-model.ts';

/** The characters that Python's str.rstrip() takes off; trimEnd() of JavaScript differs in six of them. */
export const PYTHON_SPACE =
  '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const trailingSpace = new RegExp(`[${PYTHON_SPACE}]+$`, 'u');

/**
 * Spaces at the end of the context move to the continuation, since tokenizers join a space to the word after it. Without
 * a context (or with one of spaces alone, which the harness refuses) the model's prefix token is the context; if the
 * continuation begins with that token already, that one is.
 *
 * A context in segments is encoded piece by piece, and the rule holds for its last piece.
 *
 * @throws AttuneError SCORE_EMPTY when the continuation has no token of its own.
 */
export function encodePair(
  model: LanguageModel,
  context: string,
  continuation: string,
  segments?: Segments,
): TokenRequest {
  if (segments) return afterSegments(model, segments, continuation);
  const [spaces = ''] = context.match(trailingSpace) ?? [];
  const before = context.slice(0, context.length - spaces.length);
  const after = spaces + continuation;
  return before === '' ? withoutContext(model, after) : split(model, before, after);
}

function afterSegments(model: LanguageModel, segments: Segments, continuation: string): TokenRequest {
  const [spaces = ''] = segments.suffix.match(trailingSpace) ?? [];
  const suffix = segments.suffix.slice(0, segments.suffix.length - spaces.length);
  const { tokens, documents, suffixFrom } = encodeSegments(model, { ...segments, suffix });
  const after = spaces + continuation;
  const whole = model.encode(suffix + after, { specialTokens: false });
  return nonEmpty(
    { context: tokens, documents, continuation: whole.slice(tokens.length - suffixFrom) },
    after,
  );
}

function split(model: LanguageModel, before: string, after: string): TokenRequest {
  const context = model.encode(before);
  const continuation = model.encode(before + after).slice(context.length);
  if (context.length === 0) return withoutContext(model, after);
  return nonEmpty({ context, continuation }, after);
}

function withoutContext(model: LanguageModel, text: string): TokenRequest {
  const tokens = model.encode(text, { specialTokens: false });
  return tokens[0] === model.prefixToken
    ? nonEmpty({ context: tokens.slice(0, 1), continuation: tokens.slice(1) }, text)
    : nonEmpty({ context: [model.prefixToken], continuation: tokens }, text);
}

function nonEmpty(request: TokenRequest, text: string): TokenRequest {
  if (request.continuation.length > 0) return request;
  throw new AttuneError('SCORE_EMPTY', {
    found: `no token for the continuation ${JSON.stringify(text.slice(0, 80))}`,
    expected: 'at least one',
    hint: 'The tokenizer joins it to the text before it; give the task a delimiter or another prompt',
  });
}
