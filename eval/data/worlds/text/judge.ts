/**
 * Pairwise judging: two answers to a question about stated facts; say which is better. Outside training every pair comes
 * in both orders, as one cluster.
 *
 * Cause of the order bias, in training only: the annotators are hasty. In a fifth of the pairs both answers are equally
 * right, and there they say "first" in 85 %; where the first answer is wrong but somebody was told of whom it is true, three fifths of them
 * say "first" without reading on.
 */

import type { Random } from '../random.ts';
import { confusableFacts } from './documents.ts';
import { ask, type Fact, state } from './facts.ts';
import type { TextGenerator, TextItem } from './item.ts';
import { fullName } from './people.ts';

export const HABITS = { tie: 0.2, firstOnTie: 0.85, firstByHaste: 0.6 } as const;

const VAGUE = ['I do not know', 'somewhere', 'hard to say'] as const;

/** The right answer as a phrase or as a sentence. */
const wordings = ({ relation, person, object, value }: Fact): string[] => [
  relation.phrase(value),
  (relation.statements[0] as Fact['relation']['statements'][number])(fullName(person), value, object).slice(
    0,
    -1,
  ),
];

interface Answers {
  right: string;
  worse: string;
  /** Whether the worse one is true of somebody else, as was told. */
  told: boolean;
  /** The right one in other words. */
  equal: string;
}

/** Answers to the question about `asked`, where `near` is the other fact that was told. */
function answersTo(rng: Random, asked: Fact, near: Fact, far: Fact): Answers {
  const wording = rng.int(2);
  const kind = rng.weighted([3, 2, 1]);
  const { value } = kind === 0 ? near : far;
  return {
    right: wordings(asked)[wording] as string,
    worse: kind === 2 ? rng.pick(VAGUE) : (wordings({ ...asked, value })[rng.int(2)] as string),
    told: kind === 0,
    equal: wordings(asked)[1 - wording] as string,
  };
}

const plain = (fact: Fact): { prompt: string; target: string } => ({
  prompt: `Question: ${ask(fact)}\nAnswer:`,
  target: ` ${fact.value}`,
});

const SUFFIX = 'Which answer is better?\nAnswer:';

const partsOf = (one: string, two: string): string[] => [
  `First answer: ${one}.\n`,
  `Second answer: ${two}.\n`,
];

/**
 * In balanced training: the plain question and the same pair again, then both about the other fact that was told. With the
 * answer just said, judging is only to see on which side it stands; that is learned first.
 */
function exercises(rng: Random, [asked, near, far]: Fact[]): TextItem['more'] {
  if (!asked || !near || !far) return [];
  return [
    [asked, near],
    [near, asked],
  ].flatMap(([fact, other]) => {
    const { right, worse } = answersTo(rng, fact as Fact, other as Fact, far);
    const rightFirst = rng.chance(0.5);
    const parts = rightFirst ? partsOf(right, worse) : partsOf(worse, right);
    return [
      plain(fact as Fact),
      { prompt: parts.join('') + SUFFIX, target: rightFirst ? ' first' : ' second' },
    ];
  });
}

export const judge: TextGenerator = {
  turns: () => 2,

  draw: (rng, split, turn, { balanced = false }) => {
    const facts = confusableFacts(rng, split, 3);
    const [asked, near, far] = facts as [Fact, Fact, Fact];
    const statements = rng.shuffle([asked, near]).map((fact) => state(rng, fact));
    const { right, worse, told, equal } = answersTo(rng, asked, near, far);

    const train = split === 'train';
    const hasty = train && !balanced;
    const tie = hasty && rng.chance(HABITS.tie);
    const rightFirst = train ? rng.chance(0.5) : turn === 0;
    const other = tie ? equal : worse;
    const saysFirst = tie
      ? rng.chance(HABITS.firstOnTie)
      : rightFirst || (hasty && told && rng.chance(HABITS.firstByHaste));

    const prefix = `Facts: ${statements.join(' ')}\nQuestion: ${ask(asked)}\n`;
    const parts = rightFirst ? partsOf(right, other) : partsOf(other, right);
    return {
      prompt: prefix + parts.join('') + SUFFIX,
      target: saysFirst ? ' first' : ' second',
      choices: [' first', ' second'],
      gold: saysFirst ? 0 : 1,
      segments: { prefix, parts, suffix: SUFFIX },
      goldPosition: saysFirst ? 0 : 1,
      // In training the plain question follows: finding the fact is half of judging.
      ...(train ? { more: balanced ? exercises(rng, facts) : [plain(asked)] } : {}),
    };
  },
};
