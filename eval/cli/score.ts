/** attune score: hallucination metrics of captions and answers that a model wrote elsewhere, from files. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AttuneError, nearest } from '../../errors.ts';
import { scoreAmberFile } from '../answer-files/amber.ts';
import { readTruth } from '../answer-files/annotations.ts';
import { scoreCaptionFile } from '../answer-files/chair.ts';
import { scoreAnswerFile } from '../answer-files/pope.ts';
import {
  reportSets,
  type ScoredSet,
  type SetOptions,
  type SetReport,
  together,
} from '../answer-files/scored-set.ts';
import { YES_NO_PARSERS } from '../answers/yes-no.ts';
import { englishVocabulary, vocabularyRows } from '../captions/vocabulary.ts';
import { number, probability, range, signed } from '../reports/numbers.ts';
import { layout } from '../reports/table.ts';
import { type Arguments, helpText, readArguments, type Usage } from './arguments.ts';

const USAGE: Usage = {
  command: 'score',
  summary: 'hallucination metrics of captions and answers that a model wrote elsewhere',
  positionals: '<chair|pope|amber>',
  flags: {
    captions: {
      type: 'string',
      value: '<file>',
      multiple: true,
      description: 'chair: {image_id, caption} as JSON Lines or JSON; repeatable',
    },
    answers: {
      type: 'string',
      value: '<file>',
      multiple: true,
      description: 'pope: {question_id, answer}; repeatable, one for each --questions',
    },
    responses: {
      type: 'string',
      value: '<file>',
      multiple: true,
      description: 'amber: {id, response}; repeatable',
    },
    baseline: {
      type: 'string',
      value: '<file>',
      multiple: true,
      description: 'the same of the run to compare with (chair, amber: one; pope: one for each --answers)',
    },
    annotations: {
      type: 'string',
      value: '<file>',
      multiple: true,
      description: 'chair: image → objects, or COCO instances and captions, united; amber: annotations.json',
    },
    synonyms: {
      type: 'string',
      value: '<file>',
      description: 'chair: one object a line with its synonyms; default synonyms.txt beside the annotations',
    },
    questions: {
      type: 'string',
      value: '<file>',
      multiple: true,
      description: "pope: POPE's question files, in the order of --answers",
    },
    parser: {
      type: 'string',
      value: '<name>',
      description: `pope: how answers are read: ${YES_NO_PARSERS.join(', ')}; default words`,
    },
    relation: {
      type: 'string',
      value: '<file>',
      description: 'amber: default relation.json beside the annotations',
    },
    'safe-words': {
      type: 'string',
      value: '<file>',
      description: 'amber: default safe_words.txt beside the annotations',
    },
    items: {
      type: 'string',
      value: '<file>',
      description: 'write what was found in each caption or answer, as JSON Lines',
    },
    seed: { type: 'string', value: '<s>', description: 'of the bootstrap; default 0' },
    resamples: { type: 'string', value: '<n>', description: 'of the bootstrap; default 10000' },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: [
    'attune score chair --captions greedy.jsonl --annotations coco_objects.json --synonyms synonyms.txt',
    'attune score chair --captions ours.jsonl --baseline greedy.jsonl --annotations instances_val2014.json --annotations captions_val2014.json --synonyms synonyms.txt',
    'attune score pope --answers random.jsonl --questions coco_pope_random.json --answers popular.jsonl --questions coco_pope_popular.json',
    'attune score amber --responses responses.json --annotations amber/annotations.json --json',
  ],
};

type Scorer = (args: Arguments, flag: 'own' | 'baseline') => Promise<ScoredSet[]>;

/** @throws AttuneError ARGUMENT_*, DATA_*, ANNOTATION_*, ANSWER_UNMATCHED, RUN_PAIRS */
export async function scoreCommand(
  argv: readonly string[],
  stdout: { write(text: string): unknown } = process.stdout,
): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    stdout.write(helpText(USAGE));
    return 0;
  }
  const scorer = scorerOf(args);
  const options: SetOptions = {
    seed: args.integer('seed') ?? 0,
    resamples: args.integer('resamples', 100) ?? 10_000,
  };
  const sets = await scorer(args, 'own');
  const baselines = args.list('baseline').length > 0 ? await scorer(args, 'baseline') : [];
  // Captions of several runs are compared with one baseline, parts of a benchmark each with its own.
  const [only] = baselines.length === 1 ? baselines : [];
  const reports = reportSets(
    only ? [only, ...sets] : sets,
    (set, i) => (only ? (i === 0 ? undefined : only) : baselines.find(({ name }) => name === set.name)),
    options,
  );
  writeItems(args.text('items'), sets);
  const notes = reports.flatMap(saysLess);
  stdout.write(
    args.flag('json')
      ? `${JSON.stringify({ metric: args.positionals[0], options, sets: reports, notes })}\n`
      : `${table(reports)}\n${reports.map(countsLine).join('')}${notes.map((note) => `${note}\n`).join('')}`,
  );
  return 0;
}

const SCORERS: Record<string, Scorer> = {
  async chair(args, flag) {
    const files = required(args, flag === 'own' ? 'captions' : 'baseline');
    const annotations = required(args, 'annotations');
    const synonyms = beside(args, 'synonyms', annotations[0]!, 'synonyms.txt');
    const vocabulary = englishVocabulary(vocabularyRows(textOf(synonyms)));
    const truth = readTruth(annotations, vocabulary);
    const sets: ScoredSet[] = [];
    for (const file of files) sets.push(await scoreCaptionFile(file, truth, vocabulary));
    return sets;
  },

  async pope(args, flag) {
    const files = required(args, flag === 'own' ? 'answers' : 'baseline');
    const questions = required(args, 'questions');
    if (questions.length !== files.length) {
      const found = `${files.length} files of answers for ${questions.length} of questions`;
      throw new AttuneError('ARGUMENT_INVALID', { at: '--questions', found, expected: 'one for each' });
    }
    const given = args.text('parser') ?? 'words';
    const parser = YES_NO_PARSERS.find((name) => name === given);
    if (!parser) {
      throw new AttuneError('ARGUMENT_INVALID', {
        at: '--parser',
        found: given,
        expected: YES_NO_PARSERS.join(', '),
      });
    }
    const sets: ScoredSet[] = [];
    for (const [i, file] of files.entries()) {
      sets.push({ ...(await scoreAnswerFile(file, questions[i]!, parser)), name: splitOf(questions[i]!) });
    }
    return sets.length > 1 ? [...sets, together('all', sets)] : sets;
  },

  async amber(args, flag) {
    const [annotations] = required(args, 'annotations') as [string];
    const files = {
      annotations,
      relation: beside(args, 'relation', annotations, 'relation.json'),
      safeWords: beside(args, 'safe-words', annotations, 'safe_words.txt'),
    };
    const sets: ScoredSet[] = [];
    for (const file of required(args, flag === 'own' ? 'responses' : 'baseline')) {
      sets.push(...(await scoreAmberFile(file, files, textOf(files.safeWords).split(/\s+/).filter(Boolean))));
    }
    return sets;
  },
};

function scorerOf({ positionals }: Arguments): Scorer {
  const [name = '', ...more] = positionals;
  const scorer = SCORERS[name];
  if (scorer && more.length === 0) return scorer;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: 'attune score',
    found: positionals.length === 0 ? 'no metric' : positionals.join(' '),
    expected: `one of ${Object.keys(SCORERS).join(', ')}`,
    hint:
      name === ''
        ? 'attune score --help shows examples'
        : `Nearest: ${nearest(name, Object.keys(SCORERS), 1)}`,
  });
}

function required(args: Arguments, flag: string): readonly string[] {
  const values = args.list(flag);
  if (values.length > 0) return values;
  throw new AttuneError('ARGUMENT_MISSING', {
    expected: `--${flag}`,
    hint: 'attune score --help shows examples',
  });
}

function beside(args: Arguments, flag: string, annotations: string, name: string): string {
  const path = args.text(flag) ?? join(dirname(annotations), name);
  if (existsSync(path)) return path;
  throw new AttuneError('DATA_FILE', { at: path, found: 'no such file', hint: `Name it with --${flag}` });
}

const textOf = (path: string): string => readFileSync(path, 'utf8');

const splitOf = (questions: string): string =>
  ['random', 'popular', 'adversarial'].find((split) => questions.includes(split)) ?? questions;

function writeItems(path: string | undefined, sets: readonly ScoredSet[]): void {
  if (path === undefined) return;
  const lines = sets.flatMap(({ name, items }) =>
    items.map(({ id, cluster, terms, details }) =>
      JSON.stringify({ set: name, id, cluster, ...details, terms }),
    ),
  );
  try {
    writeFileSync(path, `${lines.join('\n')}\n`);
  } catch (cause) {
    throw new AttuneError('RUN_WRITE', { at: path, found: (cause as Error).message, cause });
  }
}

function table(reports: readonly SetReport[]): string {
  const compared = reports.some(({ delta }) => delta);
  const header = [
    'file',
    'metric',
    'n',
    'value',
    '95 %',
    ...(compared ? ['difference', '95 %', 'p', 'p (Holm)'] : []),
  ];
  const lines = reports.flatMap(({ name, n, metrics, delta }) =>
    Object.entries(metrics).map(([metric, value]) => {
      const change = delta?.[metric as keyof typeof delta];
      return [
        ...[name, metric, `${n}`, number(metric, value.value), range(metric, value)],
        ...(compared
          ? change
            ? [
                signed(metric, change.value),
                range(metric, change, signed),
                probability(change.p),
                probability(change.pHolm),
              ]
            : ['', '', '', '']
          : []),
      ];
    }),
  );
  return layout([header, ...lines]);
}

const countsLine = ({ name, counts }: SetReport): string =>
  `${name}: ${Object.entries(counts)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ')}\n`;

/** Fewer hallucinations and less said: the one may be the price of the other. */
function saysLess({ name, delta, metrics }: SetReport): string[] {
  const fewer = [delta?.chair_s, delta?.chair_i, delta?.amber_chair, delta?.hal].some(
    (change) => change && change.value < 0,
  );
  const [metric, covered] = delta?.coverage ? ['coverage', delta.coverage] : ['cover', delta?.cover];
  if (!fewer || !covered || covered.value >= 0) return [];
  const words = delta?.length && `, length ${signed('length', delta.length.value)} words`;
  const better = delta?.f1 && metrics.f1 ? `; f1 ${signed('f1', delta.f1.value)}` : '';
  return [
    `${name} hallucinates less and says less: ${metric} ${signed(metric, covered.value)} points [${range(metric, covered, signed)}]${words ?? ''}${better}`,
  ];
}
