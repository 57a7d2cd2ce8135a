/**
 * Notes as in the documents task, then a roll call: every person again, in another order, each with the value. For
 * training only: it asks for as many facts as there are, and alone it teaches the finding of facts that the documents
 * task needs far sooner than single questions do. A third of the notes are bare ("Mira Vale cellar.").
 */
import { confusableFacts } from './documents.ts';
import { type Fact, state } from './facts.ts';
import type { TextGenerator } from './item.ts';
import { fullName } from './people.ts';

const bare = ({ person, value }: Fact): string => `${fullName(person)} ${value}.`;

export const roll: TextGenerator = {
  turns: () => 1,
  draw: (rng, split) => {
    const drawn = confusableFacts(rng, split, 3 + rng.int(4));
    const facts = drawn.filter(({ person }, i) => drawn.findIndex((fact) => fact.person === person) === i);
    const direct = rng.chance(0.34);
    const notes = rng.shuffle(facts).map((fact) => `- ${direct ? bare(fact) : state(rng, fact)}\n`);
    return {
      prompt: `${notes.join('')}Roll call:`,
      target: ` ${rng.shuffle(facts).map(bare).join(' ')}`,
      choices: [],
      gold: -1,
      goldPosition: -1,
    };
  },
};
