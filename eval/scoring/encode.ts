/**
 * Prompts as tokens; everything that a model reads is encoded here.
 *
 * A context and a continuation follow lm-evaluation-harness 0.4.13 (`TemplateLM._encode_pair` and `loglikelihood`): the
 * continuation's tokens are those of the whole text after as many tokens as the context has alone.
 *
 * A prompt in segments is encoded piece by piece, each alone and special tokens before the first only, as PINE's own code does: a
 * document is then the same tokens wherever it stands, and no token lies across a border. It is done so in every setting,
 * the baseline included, so that settings are compared on the same tokens.
 *
 * Where prompts are put as chats (chat.ts) the text is the chat's. Templates write BOS themselves or leave it to the tokenizer;
 * either way it stands there once.
 */
import { AttuneError } from '../../errors.ts';
import type { ItemPicture } from '../data/pictures.ts';
import type { Example, Prompt, Segments } from '../tasks/item.ts';
import { asChat, reply } from './chat.ts';
import type { EncodedPicture, LanguageModel, TokenRequest, TokenSpan, Written } from './language-model.ts';

/** What an answer stands after: words, and what they are about besides. */
export interface Asked extends Prompt {
  picture?: ItemPicture | undefined;
  /** Solved examples that the words begin with. */
  shots?: readonly Example[] | undefined;
}

export interface EncodedPrompt {
  tokens: readonly number[];
  /** One span for each document, where the prompt is cut. */
  documents?: readonly TokenSpan[] | undefined;
  picture?: EncodedPicture | undefined;
}

/** A prompt to write after. @throws AttuneError SCORE_NO_VISION, SCORE_EMPTY */
export async function encodePrompt(model: LanguageModel, asked: Asked): Promise<EncodedPrompt> {
  const { picture, shots } = asked;
  if (picture && !asked.segments) {
    const image = await imagePrompt(model, asked.context, picture);
    return { tokens: model.encode(image.text), picture: image.picture };
  }
  const { context, segments } = model.renderChat ? asChat(model.renderChat, asked, shots) : asked;
  if (!segments) return { tokens: model.encode(context) };
  const { tokens, documents } = encodeSegments(model, segments);
  return { tokens, documents };
}

/** Options to score, of one prompt where there is a picture. @throws AttuneError SCORE_NO_VISION, SCORE_EMPTY */
export async function encodeOptions(
  model: LanguageModel,
  options: readonly { context: string; continuation: string }[],
  { segments, picture, shots }: Omit<Asked, 'context'> = {},
): Promise<TokenRequest[]> {
  if (!picture) return options.map((option) => encodeOption(model, option, { segments, shots }));
  const image = await imagePrompt(model, options[0]!.context, picture);
  return options.map(({ continuation }) => ({
    ...encodePair(model, image.text, continuation, segments),
    picture: image.picture,
  }));
}

/**
 * One option of a prompt of text. Without a prompt there is no chat: the answer stands alone.
 * @throws AttuneError SCORE_EMPTY, MODEL_CHAT
 */
export function encodeOption(
  model: LanguageModel,
  { context, continuation }: { context: string; continuation: string },
  { segments, shots }: Pick<Asked, 'segments' | 'shots'> = {},
): TokenRequest {
  if (!model.renderChat || context === '') return encodePair(model, context, continuation, segments);
  const chat = asChat(model.renderChat, { context, segments }, shots);
  return encodePair(model, chat.context, reply(continuation), chat.segments);
}

/** What the model writes after a prompt, greedily. @throws AttuneError SCORE_NO_VISION, SCORE_TOO_LONG, MODEL_OUTPUT */
export async function write(
  model: LanguageModel,
  asked: Asked,
  { until, maxTokens }: { until: readonly string[]; maxTokens: number },
): Promise<Written> {
  const { tokens, documents, picture } = await encodePrompt(model, asked);
  return model.generate(tokens, { until, maxTokens, documents, picture });
}

/** The prompt with everything a chat puts around it, the picture's places written out. */
function imagePrompt(
  model: LanguageModel,
  prompt: string,
  picture: ItemPicture,
): Promise<{ text: string; picture: EncodedPicture }> {
  if (model.encodeImagePrompt) return model.encodeImagePrompt(prompt, picture);
  throw new AttuneError('SCORE_NO_VISION', {
    found: `the picture ${picture.name} and a model of text`,
    expected: 'a vision-language model (vision_encoder, embed_tokens and decoder_model_merged in onnx/)',
  });
}

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

interface EncodedSegments {
  tokens: number[];
  /** One span for each part. */
  documents: TokenSpan[];
  /** First token of the suffix. */
  suffixFrom: number;
}

/** @throws AttuneError SCORE_EMPTY for a part without a token. */
function encodeSegments(
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
