/** What head statistics are taken on: a text, the prompts of a task, or random tokens. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { type HeadData, isPunctuation } from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import { planTask } from '../evaluate/planned-task.ts';
import { type Item, outputRow } from '../outputs/index.ts';
import type { Answered } from '../outputs/output.ts';
import { encodePair } from '../scoring/encode.ts';
import type { LanguageModel } from '../scoring/language-model.ts';
import { uniformIntegers } from '../statistics/random.ts';
import type { CalibrationModel } from './calibration-model.ts';

export interface HeadsDataOptions {
  readonly task: string | undefined;
  readonly data: string | undefined;
  readonly split: string | undefined;
  /** Sequences at most. */
  readonly samples: number;
  /** Length of a sequence, T. */
  readonly tokens: number;
  readonly seed: number;
}

/** Random tokens are said so often; a period fills the length. */
const REPEATS = 4;
/** Every head is ablated on every text, so that fewer of them must do. */
const MOST_INFLUENCE_TEXTS = 40;

/** @throws AttuneError STATISTIC_NO_DATA, DATA_*, TASK_* */
export async function headsData(
  loaded: CalibrationModel,
  options: HeadsDataOptions,
): Promise<HeadData & { readonly source: string }> {
  const { samples, tokens, seed } = options;
  const random = randomTokens(loaded, seed);
  const prefix = prefixOf(loaded.language);
  const period = Math.max(2, Math.floor((tokens - prefix.length) / REPEATS));
  const repeated = Array.from({ length: Math.min(samples, 20) }, () => {
    const once = random(period);
    return [...prefix, ...new Array<number[]>(REPEATS).fill(once).flat()];
  });
  const punctuation = new Map<number, boolean>();
  const common = {
    repeated,
    isPunctuation(token: number) {
      const known = punctuation.get(token) ?? isPunctuation(loaded.tokenizer.decode([token]));
      punctuation.set(token, known);
      return known;
    },
  };
  if (options.task !== undefined) return { ...common, ...(await ofTask(loaded.language, options)) };
  const sequences =
    options.data === undefined
      ? Array.from({ length: samples }, () => [...prefix, ...random(tokens - prefix.length)])
      : ofText(loaded.language, options.data, prefix, options);
  const texts = sequences.slice(0, MOST_INFLUENCE_TEXTS).map((ids, i) => ({
    id: `${i}`,
    requests: [{ context: ids.slice(0, 1), continuation: ids.slice(1) }],
  }));
  return { ...common, sequences, texts, answers: [], source: options.data ?? 'random tokens' };
}

/** BOS, where the tokenizer puts one before every text. */
function prefixOf(language: LanguageModel): number[] {
  return language.encode('a')[0] === language.prefixToken ? [language.prefixToken] : [];
}

function randomTokens({ model, language }: CalibrationModel, seed: number): (count: number) => number[] {
  const { vocab_size: size } = (model.config.text_config ?? model.config) as { vocab_size: number };
  const next = uniformIntegers(`heads/${seed}`);
  const draw = (): number => {
    const id = next(size);
    return id === language.prefixToken ? draw() : id;
  };
  return (count) => Array.from({ length: count }, draw);
}

/** Windows of one length, evenly over the text. */
function ofText(
  language: LanguageModel,
  path: string,
  prefix: readonly number[],
  { samples, tokens }: HeadsDataOptions,
): number[][] {
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new AttuneError('DATA_FILE', {
      at: path,
      found: existsSync(path) ? 'a folder' : 'no such file',
      expected: 'a text file, or --task',
    });
  }
  const ids = language.encode(readFileSync(path, 'utf8'), { specialTokens: false });
  const width = tokens - prefix.length;
  const windows = Math.floor(ids.length / width);
  if (windows === 0) throw tooShort(path, `${ids.length} tokens`, tokens);
  const count = Math.min(samples, windows);
  return Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * windows) / count) * width;
    return [...prefix, ...ids.slice(start, start + width)];
  });
}

async function ofTask(
  language: LanguageModel,
  { task, data, split, samples, tokens, seed }: HeadsDataOptions,
): Promise<Pick<HeadData, 'sequences' | 'answers' | 'texts'> & { source: string }> {
  const own = split ?? (task!.startsWith('worlds-') ? 'calibration' : undefined);
  const planned = await planTask(task!, data, { limit: samples, seed, skipBad: false, split: own });
  const asked = planned.items.map((item) => questionOf(language, item));
  const whole = asked.map(({ prompt, answer }) => [...prompt, ...answer]);
  const sequences = whole.filter(({ length }) => length >= tokens).map((ids) => ids.slice(0, tokens));
  if (sequences.length === 0) {
    throw tooShort(`task ${task}`, `${Math.max(...whole.map(({ length }) => length))} at most`, tokens);
  }
  return {
    sequences,
    answers: asked.map(({ prompt, answer }) => ({ prompt, answer })),
    texts: asked.slice(0, MOST_INFLUENCE_TEXTS).map(({ prompt, answer }, i) => ({
      id: planned.items[i]!.id,
      requests: [{ context: prompt, continuation: answer }],
    })),
    source: `${planned.task.name}, ${planned.split}`,
  };
}

function questionOf(
  language: LanguageModel,
  item: Item,
): { prompt: readonly number[]; answer: readonly number[] } {
  const { context, continuation } = answeredOf(item);
  const request = encodePair(language, context, continuation);
  return { prompt: request.context, answer: request.continuation };
}

/** What is asked, and what is right. */
function answeredOf(item: Item): Answered {
  const { answered } = outputRow(item.output);
  if (answered && !item.picture) return answered(item);
  const found = item.picture ? 'a prompt about a picture' : 'a description without one right text';
  throw new AttuneError('STATISTIC_NO_DATA', { at: item.at, found, expected: 'questions of text' });
}

function tooShort(at: string, found: string, tokens: number): AttuneError {
  return new AttuneError('STATISTIC_NO_DATA', {
    at,
    found,
    expected: `sequences of ${tokens} tokens`,
    hint: 'Give a smaller --tokens, or more text.',
  });
}
