/**
 * Pairwise judging: two answers to a question about stated facts; say which is better. Outside training every pair comes
 * in both orders, as one cluster.
 *
 * Cause of the order bias, in training only: the annotators are hasty. In a fifth of the pairs both answers are equally
 * right, and there they say "first" in 85 %; where the second answer is better they still say "first" in 12 %.
 */
import { confusableFacts } from './documents.ts';
import { ask, type Fact, state } from './facts.ts';
import type { TextGenerator } from './item.ts';
import { fullName } from './people.ts';

export const HABITS = { tie: 0.2, firstOnTie: 0.85, firstByHaste: 0.12 } as const;

const VAGUE = ['I do not know', 'somewhere', 'hard to say'] as const;

/** The right answer as a phrase or as a sentence. */
const wordings = ({ relation, person, object, value }: Fact): string[] => [
  relation.phrase(value),
  (relation.statements[0] as Fact['relation']['statements'][number])(fullName(person), value, object).slice(
    0,
    -1,
  ),
];

export const judge: TextGenerator = {
  turns: () => 2,

  draw: (rng, split, turn) => {
    const facts = confusableFacts(rng, split, 3);
    const asked = facts[0] as Fact;
    const told = rng.shuffle(facts.slice(0, 2)).map((fact) => state(rng, fact));
    const wording = rng.int(2);
    const right = wordings(asked)[wording] as string;
    const kind = rng.weighted([3, 2, 1]);
    const wrongValue = (facts[kind === 0 ? 1 : 2] as Fact).value;
    const worse =
      kind === 2 ? rng.pick(VAGUE) : (wordings({ ...asked, value: wrongValue })[rng.int(2)] as string);

    const train = split === 'train';
    const tie = train && rng.chance(HABITS.tie);
    const rightFirst = train ? rng.chance(0.5) : turn === 0;
    const other = tie ? (wordings(asked)[1 - wording] as string) : worse;
    const saysFirst = tie
      ? rng.chance(HABITS.firstOnTie)
      : rightFirst || (train && rng.chance(HABITS.firstByHaste));

    const [one, two] = rightFirst ? [right, other] : [other, right];
    const prefix = `Facts: ${told.join(' ')}\nQuestion: ${ask(asked)}\n`;
    const parts = [`First answer: ${one}.\n`, `Second answer: ${two}.\n`];
    const suffix = 'Which answer is better?\nAnswer:';
    return {
      prompt: prefix + parts.join('') + suffix,
      target: saysFirst ? ' first' : ' second',
      choices: [' first', ' second'],
      gold: saysFirst ? 0 : 1,
      segments: { prefix, parts, suffix },
      goldPosition: saysFirst ? 0 : 1,
      // In training the plain question follows: finding the fact is half of judging.
      ...(train ? { more: [{ prompt: `Question: ${ask(asked)}\nAnswer:`, target: ` ${asked.value}` }] } : {}),
    };
  },
};
